"""`tutelage reward` as users meet it: it learns, stops, goes on, keeps the best, and refuses."""

import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from models.reward_models import small_model, word_tokenizer
from recipes.judging import BAD, GOOD, options, write_ages, write_pairs
from recipes.pretraining import finish, process, rows, weights
from rewards.classifiers import save_classifier, tokenizer_of
from test_docs import undocumented
from tutelage.cli import main
from tutelage.lessons.texts import Texts, TokenTexts
from tutelage.models.reward_folder import load_reward_model
from tutelage.recipes.reward import PRESETS, Reward
from tutelage.run_folder import read_lines

FILES = ("model.safetensors", "readout.safetensors", "reward_model.json")


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp() / "cache")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.jsonl")


@pytest.fixture(scope="module")
def whole(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert main(options(pairs, out, **MORE)) == 0
    return out


def card(out: Path, name: str = "reward-card") -> dict[str, Any]:
    return json.loads((out / "evals" / name / "best.json").read_text())


def losses(out: Path) -> list[float]:
    """Of the validations."""
    return [row["eval/validation/loss"] for row in rows(out) if "eval/validation/loss" in row]


def best(out: Path) -> dict[str, bytes]:
    return {name: (out / "checkpoints" / "best" / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("readout", ["layerwise_attention", "decoder_output", "last_token"])
def test_it_learns_which_word_is_better(pairs: Path, tmp_path: Path, readout: str) -> None:
    """RM-1, RM-2, RM-6: nearly every pair is right, and the saved model says so by itself."""
    out = tmp_path / "run"
    assert main(options(pairs, out, readout__kind=readout, steps=24)) == 0
    found = rows(out)
    learned = [row for row in found if "preference/loss" in row]
    assert learned[0]["preference/loss"] > 0.4
    assert learned[-1]["preference/loss"] < 0.1
    assert learned[-1]["preference/accuracy"] > 0.9
    assert not undocumented({key for row in read_lines(out / "metrics.jsonl") for key in row})
    measures = card(out)["measures"]
    assert measures["accuracy"] > 0.9 > measures["accuracy_length"]
    assert {"subset/odd", "subset/even"} <= set(measures)
    assert (out / "report.html").is_file()
    model, tokenizer, _ = load_reward_model(str(out / "checkpoints" / "best"))
    texts = [f"5 the cat sees us: {word}" for word in (GOOD, BAD)]
    good, bad = (model(tokenizer(text, return_tensors="pt")["input_ids"]) for text in texts)
    assert good > bad


class Uncached(Reward):
    """Reads its texts with the frozen trunk each time."""

    @classmethod
    def recipe_name(cls) -> str:
        return "reward"

    def texts(self, model: Any, task: Any, compute: Any, console: Any) -> Mapping[str, Texts]:
        return {part: TokenTexts(rows) for part, rows in task.rows.items()}


@pytest.mark.parametrize("readout", ["layerwise_attention", "attention_pooled_decoder"])
def test_hidden_states_kept_on_disk_change_no_number(
    pairs: Path, tmp_path: Path, readout: str
) -> None:
    """RM-4: losses, validations and card are those of a trunk that reads everything again."""
    kept, again = tmp_path / "kept", tmp_path / "again"
    settings = {"model__frozen": True, "readout__kind": readout, "steps": 10}
    assert main(options(pairs, kept, **settings)) == 0
    config = Uncached.load(kept / "config.yaml").model_copy(update={"out": again})
    assert config.run() == 0
    for mine, theirs in zip(rows(kept), rows(again), strict=True):
        assert mine.pop("lesson", None) == theirs.pop("lesson", None)
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert card(kept)["measures"] == pytest.approx(card(again)["measures"], abs=1e-5)
    assert losses(kept)[-1] != losses(kept)[0]


MORE = {"steps": 18, "saving__eval_steps": 2, "saving__resume_rounds": 4, "model__dropout": 0.1}


def test_killed_runs_end_like_whole_ones(whole: Path, pairs: Path, tmp_path: Path) -> None:
    """X-3: kill -9 between two resume points: weights, rows, the best checkpoint and its card."""
    cut = tmp_path / "cut"
    running = process(options(pairs, cut, **MORE))
    while running.poll() is None and len(read_lines(cut / "metrics.jsonl")) < 9:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert len(read_lines(cut / "metrics.jsonl")) < len(read_lines(whole / "metrics.jsonl"))
    assert main(["reward", "--resume", str(cut)]) == 0
    assert rows(cut) == rows(whole)
    assert weights(cut) == weights(whole)
    assert best(cut) == best(whole)
    assert card(cut) == card(whole)


@pytest.mark.parametrize("has_scale", [False, True])
def test_a_run_killed_before_its_card_makes_it_when_it_goes_on(
    whole: Path, tmp_path: Path, has_scale: bool
) -> None:
    """X-3, RM-2: before or after the saved model got the scale of its scores."""
    cut = tmp_path / "cut"
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "evals" / "reward-card")
    (cut / "report.html").unlink()
    path = cut / "checkpoints" / "best" / "reward_model.json"
    facts = json.loads(path.read_text())
    assert facts["scale"] not in (0, 1)
    if not has_scale:
        path.write_text(json.dumps(facts | {"scale": 1.0, "shift": 0.0}))
    assert main(["reward", "--resume", str(cut)]) == 0
    assert card(cut) == card(whole)
    assert json.loads(path.read_text()) == facts
    assert (cut / "report.html").is_file()


@pytest.fixture(scope="module")
def in_vain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learns by heart what cannot be learned, and stops for that."""
    folder = tmp_path_factory.mktemp("vain")
    data = write_pairs(folder / "pairs.jsonl", by_chance=True)
    settings = {"steps": 200, "saving__eval_steps": 4, "max_non_optim_vals": 3}
    settings |= {"milestones__spacing": "every", "milestones__every": 4, "val_fraction": 0.3}
    assert main(options(data, folder / "run", **settings)) == 0
    return folder / "run"


def test_training_ends_once_validations_have_been_in_vain(in_vain: Path, tmp_path: Path) -> None:
    """RM-5: three in a row after the best; the run is complete, and stays so."""
    found = losses(in_vain)
    lowest = found.index(min(found))
    assert rows(in_vain)[-1]["step"] == 4 * (lowest + 1 + 3) < 200
    again = tmp_path / "again"
    shutil.copytree(in_vain, again)
    (again / "evals" / "reward-card" / "best.json").unlink()
    assert main(["reward", "--resume", str(again)]) == 0
    assert weights(again) == weights(in_vain)
    assert card(again) == card(in_vain)


def test_the_best_model_is_what_is_kept_and_tested(in_vain: Path) -> None:
    """RM-5: the one with the lowest validation loss; loss and accuracy by hand, pair by pair."""
    found = losses(in_vain)
    step = 4 * (found.index(min(found)) + 1)
    assert weights(in_vain)["best"] == weights(in_vain)[f"step_{step}"]
    assert card(in_vain)["step"] == step
    model, tokenizer, facts = load_reward_model(str(in_vain / "checkpoints" / "best"))
    task = Reward.load(in_vain / "config.yaml").read(tokenizer)
    with torch.no_grad():
        scores = {
            part: torch.stack([model(torch.tensor([ids]))[0] for ids in task.rows[part]])
            for part in ("validation", "test")
        }
    assert scores["validation"].mean().item() == pytest.approx(0, abs=1e-4)
    assert scores["validation"].std(correction=0).item() == pytest.approx(1, abs=1e-4)
    margins = {part: its[::2] - its[1::2] for part, its in scores.items()}
    loss = -torch.nn.functional.logsigmoid(margins["validation"] / facts.scale).mean().item()
    assert loss == pytest.approx(min(found), abs=1e-5)
    measures = card(in_vain)["measures"]
    assert measures["accuracy"] == pytest.approx((margins["test"] > 0).double().mean().item())
    assert measures["margin"] == pytest.approx(margins["test"].mean().item() / facts.scale, 1e-4)


@pytest.mark.parametrize("shard", [False, True], ids=["ddp", "fsdp2"])
def test_two_processes_learn_what_one_learns(pairs: Path, tmp_path: Path, shard: bool) -> None:
    """RM-5, X-5: pairs of a batch are shared out, validations too."""
    settings = {"steps": 6, "microbatch_tokens": 400, "centring_coef": 0.01, "margin": True}
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(options(pairs, one, **settings)) == 0
    more = settings | {"compute__use_cpu": False, "compute__shard": shard}
    running = process(["launch", "--processes", "2", "--", *options(pairs, two, **more)])
    said = finish(running)
    assert running.returncode == 0, said
    for mine, theirs in zip(rows(one), rows(two), strict=True):
        assert mine.pop("lesson", None) == theirs.pop("lesson", None)
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
    assert losses(one) == pytest.approx(losses(two), abs=1e-5)
    assert card(two)["measures"] == pytest.approx(card(one)["measures"], rel=1e-3)


def test_the_age_of_a_writer_is_learned(tmp_path: Path) -> None:
    """TND-4: predictions are log2 steps, and go with the true ones."""
    out = tmp_path / "run"
    ages = write_ages(tmp_path / "ages.jsonl")
    assert main(options(ages, out, data__kind="ages", steps=60, optim__lr=0.005)) == 0
    found = rows(out)
    assert not undocumented({key for row in found for key in row})
    first, last = ([row for row in found if "regression/loss" in row][n] for n in (0, -1))
    assert first["regression/loss"] > 2 * last["regression/loss"]
    measures = card(out, "age-card")["measures"]
    assert measures["spearman"] > 0.7
    assert measures["spearman_checkpoints"] == 1
    facts = json.loads((out / "checkpoints" / "best" / "reward_model.json").read_text())
    assert facts["learned"] == "ages"
    assert facts["shift"] == pytest.approx(3)  # the mean of log2 of 1, 8 and 64
    assert facts["scale"] == pytest.approx(6**0.5)


def test_margins_and_centring_change_the_loss(pairs: Path, tmp_path: Path) -> None:
    """RM-2."""
    found = []
    for name, more in (("plain", {}), ("margin", {"margin": True}), ("low", {"centring_coef": 9})):
        assert main(options(pairs, tmp_path / name, steps=1, **more)) == 0
        found.append(rows(tmp_path / name)[0]["preference/loss"])
    assert found[0] < found[1]
    assert found[0] < found[2]


def test_an_epoch_has_as_many_validations_and_checkpoints_as_asked_for(
    pairs: Path, tmp_path: Path
) -> None:
    """RM-5: with eight batches an epoch; and no test set, no card."""
    out = tmp_path / "run"
    settings = {"steps": None, "epochs": 2, "per_epoch__validations": 2, "test_fraction": 0}
    settings |= {"per_epoch__checkpoints": 1, "val_fraction": 0.28, "normalise": False}
    assert main(options(pairs, out, **settings)) == 0
    validated = [row["step"] for row in rows(out) if "eval/validation/loss" in row]
    assert validated == [4, 8, 12, 16]
    assert {path.name for path in (out / "checkpoints").iterdir()} == {"step_8", "step_16", "best"}
    assert not (out / "evals" / "reward-card").exists()
    facts = json.loads((out / "checkpoints" / "best" / "reward_model.json").read_text())
    assert (facts["scale"], facts["shift"]) == (1, 0)


def test_without_validations_the_last_model_is_the_best(pairs: Path, tmp_path: Path) -> None:
    """RM-5."""
    out = tmp_path / "run"
    assert main(options(pairs, out, steps=3, val_fraction=0)) == 0
    assert weights(out)["best"] == weights(out)["step_3"]
    assert card(out)["step"] == 3


@pytest.mark.parametrize("name", PRESETS)
def test_presets_stand(name: str) -> None:
    """X-1."""
    config = PRESETS[name]()
    assert type(config).model_validate(config.model_dump(mode="json")) == config


GOOD_ROW = {"prompt": "a", "chosen": " b", "rejected": " c"}


@pytest.mark.parametrize(
    ("row", "more", "said"),
    [
        ({"prompt": "a", "chosen": " b"}, {}, "rejected"),
        (GOOD_ROW | {"chosen": 3}, {}, "'chosen'"),
        (GOOD_ROW | {"rejected": " b"}, {}, "identical responses"),
        (GOOD_ROW, {"data__kind": "ages"}, "no column 'text'"),
        ({"text": "a", "step": 5}, {"data__kind": "ages"}, "all its texts are of step 5"),
        ({"text": "a", "step": "b"}, {"data__kind": "ages"}, "step is 'b'"),
        (None, {"data__kind": "ages"}, "give --data.path"),
        (GOOD_ROW, {"data__kind": "ages", "margin": True}, "--margin is about pairs"),
        (GOOD_ROW, {"data__kind": "ages", "centring_coef": 1}, "--centring-coef is about pairs"),
        (GOOD_ROW, {"readout__n_blocks_to_use": 9}, "this trunk has 2 blocks"),
        (GOOD_ROW, {"model__frozen": True, "model__lora__rank": 2}, "adapters"),
        (GOOD_ROW, {"model__path": "no/such/place"}, "no/such/place"),
        (GOOD_ROW, {"readout__kind": "layerwise_atention"}, "layerwise_attention"),
        (GOOD_ROW, {"optim__schedule": "cosine"}, "final_lr goes with schedule exponential"),
        (
            GOOD_ROW,
            {"per_epoch__checkpoints": 1, "milestones__spacing": "log"},
            "both say when checkpoints are saved",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_is_written(
    row: dict | None, more: dict, said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """X-1: exit status 2, one sentence, no run folder."""
    data = None
    if row is not None:
        data = tmp_path / "data.jsonl"
        named = [row | {"prompt": f"{row.get('prompt', '')} {number}"} for number in range(8)]
        data.write_text("".join(json.dumps(row) + "\n" for row in named))
    assert refused(options(data, tmp_path / "run", **more), tmp_path, capsys, said)


def refused(arguments: list[str], folder: Path, capsys: pytest.CaptureFixture, said: str) -> bool:
    capsys.readouterr()
    try:
        status = main(arguments)
    except SystemExit as error:
        status = error.code
    printed = " ".join("".join(capsys.readouterr()).split())
    assert said in printed
    assert "Traceback" not in printed
    return status == 2 and not (folder / "run").exists()


@pytest.mark.parametrize(
    ("trunk", "more", "said"),
    [
        ("bert", {"readout__kind": "layerwise_attention"}, "reads a T5, but --model.path"),
        ("bert", {"readout__kind": "last_token", "model__frozen": True}, "can't be taken apart"),
        ("t5", {"readout__kind": "last_token"}, "with encoder and decoder"),
        ("encoder", {"readout__kind": "decoder_output"}, "has no weights for decoder."),
        ("labels", {"readout__kind": "last_token"}, "has 2 labels"),
        ("bert", {"readout__kind": "last_token", "max_tokens": 40}, "reads at most 16 tokens"),
    ],
)
def test_a_trunk_that_the_read_out_cannot_use_is_refused(
    tmp_path: Path, trunk: str, more: dict, said: str, capsys: pytest.CaptureFixture
) -> None:
    """RM-1, RM-6."""
    folder = tmp_path / trunk
    if trunk in ("bert", "labels"):
        save_classifier(folder, "Bert", tokenizer_of(), num_labels=1 + (trunk == "labels"))
    else:
        kind = "decoder_output" if trunk == "t5" else "full_attention"
        small_model(kind).save(folder, word_tokenizer())
    data = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"w{n}", "chosen": " w18", "rejected": " w19"} for n in range(16)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shape = {f"model__{name}": None for name in ("layers", "heads", "width")}
    settings = {"model__path": folder, "max_tokens": 16, **shape, **more}
    assert refused(options(data, tmp_path / "run", **settings), tmp_path, capsys, said)


def test_real_dialogues_frozen_and_not(shared_data: Path, tmp_path: Path) -> None:
    """RM-1, RM-3, RM-4: hh-rlhf with T5's tokenizer; the card says what the model is worth."""
    for name, more in (("frozen", {"model__frozen": True}), ("whole", {})):
        out = tmp_path / name
        settings = {
            "data__kind": "hh_rlhf",
            "data__subsets": "harmless-base",
            "tokenizer__path": shared_data / "tokenizers" / "t5",
            "tokenizer__vocab_size": None,
            "max_tokens": 128,
            "over_long": "truncate_prompt_left",
            "steps": 12,
        }
        assert main(options(shared_data / "hh_rlhf", out, **settings, **more)) == 0
        found = card(out)
        assert found["measures"].keys() > {"accuracy", "accuracy_length", "above_length_low"}
        assert found["verdict"].startswith(("Beats length", "Does not beat length"))
        data = found["data"]
        assert data["read"] == sum(data.values()) - data["read"] - data["cut"] == 1700
