"""EWoK, COMPS and entity tracking: what is compared, and how accuracies are put together."""

import json
from pathlib import Path

import pytest
import torch

from evals.scorers import Opinion, scorer_of, small_tokenizer
from tutelage.config import UserError
from tutelage.evals.comps import COMPS
from tutelage.evals.entity_tracking import EntityTracking
from tutelage.evals.ewok import EWoK
from tutelage.tensors import TokenScores


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory):
    """One nat a token, so the part with fewer tokens wins."""
    return scorer_of(Opinion(), small_tokenizer(tmp_path_factory.mktemp("cache")))


def write(file: Path, *rows: dict) -> Path:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return file


def evaluate(suite, scorer) -> dict:
    suite.check()
    return suite.combine({task: suite.run_task(task, scorer) for task in suite.tasks()})


def scored(choice) -> list[tuple[str, str]]:
    """The given and the scored part of each text."""
    return [(text.text[: text.start], text.text[text.start :]) for text in choice.texts]


def ewok(domain: str, target1: str, target2: str, kind: str = "direct") -> dict:
    return {
        "Domain": domain,
        "ContextType": kind,
        "ContextDiff": "negation",
        "TargetDiff": "swap",
        "Context1": "It is hot.",
        "Context2": "It is cold.",
        "Target1": target1,
        "Target2": target2,
    }


def test_ewok_compares_two_targets_after_the_first_context(scorer, tmp_path: Path) -> None:
    """EV-2: the targets with the space before them, as the official pipeline does."""
    file = write(tmp_path / "social.jsonl", ewok("social", "Sun.", "Much snow."))
    suite = EWoK(data=file)
    (choice,) = suite.choices("social")
    assert scored(choice) == [("It is hot.", " Sun."), ("It is hot.", " Much snow.")]
    assert evaluate(suite, scorer)["convention"]["scored"] == "Target after Context1"


def test_ewok_counts_domains_and_kinds(scorer, tmp_path: Path) -> None:
    """EV-2."""
    write(tmp_path / "a.jsonl", ewok("a", "x", "xyzxyz"), ewok("a", "xyz", "x", kind="indirect"))
    write(tmp_path / "b.jsonl", ewok("b", "x", "xyzxyz"))
    result = evaluate(EWoK(data=tmp_path), scorer)
    assert {k: v for k, v in result["measures"].items() if "per_token" not in k} == {
        "accuracy": 0.75,
        "a": 0.5,
        "b": 1.0,
        "context_type/direct": 1.0,
        "context_type/indirect": 0.0,
        "context_contrast/negation": pytest.approx(2 / 3),
        "target_contrast/swap": pytest.approx(2 / 3),
    }
    assert result["counts"]["accuracy"] == 3


def comps(acceptable: str, unacceptable: str) -> dict:
    return {
        "prefix_acceptable": acceptable,
        "prefix_unacceptable": unacceptable,
        "property_phrase": "can fly.",
    }


def test_comps_compares_one_property_after_two_things(scorer, tmp_path: Path) -> None:
    """EV-2: files are named as the official reports name them."""
    row = comps("a bird", "a stone")
    names = ("comps_base", "comps_wugs", "comps_wugs_dist-before", "comps_wugs_dist-in-between")
    for name in names:
        write(tmp_path / f"{name}.jsonl", row)
    suite = COMPS(data=tmp_path)
    (choice,) = suite.choices("comps_base")
    assert scored(choice) == [("a bird ", "can fly."), ("a stone ", "can fly.")]
    result = evaluate(suite, scorer)
    assert result["measures"] == {
        "accuracy": 0.5,
        "accuracy_per_token": 0.5,
        **dict.fromkeys(("base", "wugs", "wugs_dist_before", "wugs_dist_in_between"), 0.5),
    }
    official = evaluate(COMPS(data=tmp_path, ties="first"), scorer)
    assert official["measures"]["accuracy"] == 1.0


def moves(count: int, *options: str) -> dict:
    return {"numops": count, "input_prefix": "Box 0 has the key. Box 0 has ", "options": options}


def test_entity_tracking_compares_options_after_a_prefix(scorer, tmp_path: Path) -> None:
    """EV-2."""
    suite = EntityTracking(data=write(tmp_path / "regular.jsonl", moves(1, "a key.", "it.", "x")))
    (choice,) = suite.choices("regular")
    prefix = "Box 0 has the key. Box 0 has "
    assert scored(choice) == [(prefix, "a key."), (prefix, "it."), (prefix, "x")]
    assert choice.groups == {"subset": "regular_1_ops"}


def test_entity_tracking_means_moves_within_files_and_then_files(scorer, tmp_path: Path) -> None:
    """EV-2: as the official average, whatever the numbers of rows."""
    write(
        tmp_path / "regular.jsonl",
        *[moves(0, "x", "xyzxyz")] * 3,  # won
        moves(1, "xyzxyz", "x"),  # lost
        moves(2, "x", "y", "z"),  # a third
    )
    write(tmp_path / "move_contents.jsonl", moves(0, "x", "xyzxyz"))
    result = evaluate(EntityTracking(data=tmp_path), scorer)
    regular = (1 + 0 + 1 / 3) / 3
    assert {k: v for k, v in result["measures"].items() if "per_token" not in k} == {
        "accuracy": pytest.approx((regular + 1) / 2),
        "regular_0_ops": 1.0,
        "regular_1_ops": 0.0,
        "regular_2_ops": pytest.approx(1 / 3),
        "move_contents_0_ops": 1.0,
        "regular": pytest.approx(regular),
        "move_contents": 1.0,
    }
    assert result["counts"]["regular"] == 5
    # Per token all are equal: halves of two options, a third of three.
    halves = (1 / 2 + 1 / 2 + 1 / 3) / 3
    assert result["measures"]["accuracy_per_token"] == pytest.approx((halves + 1 / 2) / 2)


class Tiring(torch.nn.Module):
    """A student for which a token is the less likely the more came before it."""

    def forward(self, token_ids, *, keep, mask):
        """Scores of the kept tokens: −1, −2, −3 and so on."""
        logprobs = -torch.arange(1.0, token_ids.shape[1]) * (keep & mask[:, 1:])
        return TokenScores(logprobs, logprobs)


# Of each suite a choice that is won, one that is lost, and ties.
WON, LOST, EVEN = ("xy", "xyzxyz"), ("xyzxyz", "xy"), ("xy", "yz")
TIES = {
    EWoK: [ewok("a", *WON), ewok("a", *LOST), ewok("a", *EVEN), ewok("a", *EVEN)],
    COMPS: [comps(*WON), comps(*LOST), comps(*EVEN), comps(*EVEN)],
    EntityTracking: [
        moves(1, *WON, "xyzx"),
        moves(1, *LOST, "xyzx"),
        moves(1, *EVEN, "xyz"),  # two of three are even
        moves(1, *EVEN, "zx"),  # three of three
        moves(1, "xyz", "xyy", "xz"),  # even with one, but another is likelier
    ],
}


@pytest.mark.parametrize(
    ("suite", "ties", "accuracy"),
    [
        (EWoK, "half", (1 + 0 + 1 / 2 + 1 / 2) / 4),
        (EWoK, "first", (1 + 0 + 1 + 1) / 4),
        (COMPS, "half", (1 + 0 + 1 / 2 + 1 / 2) / 4),
        (COMPS, "first", (1 + 0 + 1 + 1) / 4),
        (EntityTracking, "half", (1 + 0 + 1 / 2 + 1 / 3 + 0) / 5),
        (EntityTracking, "first", (1 + 0 + 1 + 1 + 0) / 5),
    ],
)
def test_ties_count_a_fair_share_or_officially_a_point(tmp_path, suite, ties, accuracy):
    """EV-2: by hand."""
    scorer = scorer_of(Tiring(), small_tokenizer(tmp_path / "cache"))
    file = write(tmp_path / "a.jsonl", *TIES[suite])
    result = evaluate(suite(data=file, ties=ties), scorer)
    assert result["measures"]["accuracy"] == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("suite", "row", "message"),
    [
        (EWoK, ewok("a", "x", "y") | {"Target2": 3}, "Target2 is 3, but it must be a text"),
        (EWoK, {"Context1": "x"}, "line 1 has no field Target1; it has Context1"),
        (COMPS, {"prefix_acceptable": "x"}, "no field prefix_unacceptable"),
        (EntityTracking, moves(1, "x"), "options is .* 2 or more texts"),
        (EntityTracking, moves(1, "x") | {"options": ["x", 1]}, "2 or more texts"),
        (EntityTracking, moves(1, "x") | {"options": "x"}, "options is 'x', but .* a list"),
        (EntityTracking, moves(True, "x", "y"), "numops is True, but .* a whole number"),
        (EntityTracking, {"numops": 1}, "no field input_prefix; it has numops"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(tmp_path: Path, suite, row, message) -> None:
    """EV-2: before a model loads."""
    file = write(tmp_path / "a.jsonl", row)
    with pytest.raises(UserError, match=message) as caught:
        suite(data=file).check()
    assert f"{file}, line 1" in str(caught.value)
