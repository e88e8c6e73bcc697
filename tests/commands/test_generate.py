import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tutelage import cli
from tutelage.commands.generate import load
from tutelage.config import UserError
from tutelage.rewards.recovered import Recovered

WORDS = ["<eos>", *"abcdefghijklmnop", "[red]"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A tiny random GPT-2 with its tokenizer, as save_pretrained writes them."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoint"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(WORDS),
                n_positions=32,
                n_embd=16,
                n_layer=1,
                n_head=2,
                bos_token_id=0,
                eos_token_id=0,
            )
        ).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>").save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(saved, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoint"))


def written(capsys, *argv: object) -> list[dict]:
    """The rows that `tutelage generate ARGV --json` prints."""
    assert cli.main(["generate", *map(str, argv), "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def refused(capsys, *argv: object) -> str:
    """The message when `tutelage generate ARGV` is refused."""
    assert cli.main(["generate", *map(str, argv)]) == 2
    return capsys.readouterr().err


def test_each_prompt_is_continued_num_times(checkpoint, capsys):
    """X-1."""
    argv = ["--prompt", "a b", "--prompt", "c", "--num", "2", "--max-tokens", "5"]
    rows = written(capsys, checkpoint, *argv)
    assert [row["prompt"] for row in rows] == ["a b", "a b", "c", "c"]
    assert rows[0]["response"] != rows[1]["response"]
    assert {row["checkpoint"] for row in rows} == {str(checkpoint)}
    assert written(capsys, checkpoint, *argv) == rows
    assert written(capsys, checkpoint, *argv, "--seed", "1") != rows
    greedy = written(capsys, checkpoint, *argv, "--greedy")
    assert greedy[0]["response"] == greedy[1]["response"]
    for narrow in (["--top-k", "1"], ["--top-p", "1e-6"], ["--temperature", "1e-6"]):
        assert written(capsys, checkpoint, *argv, *narrow) == greedy


def test_without_a_prompt_a_text_begins(checkpoint, capsys):
    """X-1."""
    (row,) = written(capsys, checkpoint, "--max-tokens", "5")
    assert row["prompt"] == ""
    assert row["response"]


def test_people_see_prompt_and_response_as_one_text(checkpoint, capsys):
    """X-1."""
    argv = ["--prompt", "[red] b", "--prompt", "c", "--max-tokens", "5", "--greedy"]
    rows = written(capsys, checkpoint, *argv)
    assert cli.main(["generate", str(checkpoint), *argv]) == 0
    texts = [row["prompt"] + row["response"] for row in rows]
    assert capsys.readouterr().out == f"{texts[0]}\n---\n{texts[1]}\n"


def test_a_run_means_its_newest_checkpoint(saved, tmp_path, capsys):
    """X-2."""
    (tmp_path / "config.yaml").write_text("recipe: pretrain\n")
    (tmp_path / "checkpoints").mkdir()
    assert "has no checkpoint yet" in refused(capsys, tmp_path)
    for steps in (9, 100, 20):
        folder = tmp_path / "checkpoints" / f"step_{steps}"
        shutil.copytree(saved, folder)
        (folder / "milestone.json").write_text(json.dumps({"step": steps}))
    (row,) = written(capsys, tmp_path, "--max-tokens", "2")
    assert row["checkpoint"] == str(tmp_path / "checkpoints" / "step_100")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_an_incomplete_folder_is_refused_with_what_it_lacks(name, checkpoint, capsys):
    """X-4."""
    (checkpoint / "tokenizer_config.json").unlink()
    (checkpoint / name).unlink()
    assert f"is not a checkpoint: it lacks {name}. Give a folder" in refused(capsys, checkpoint)


def test_pickled_weights_are_refused_and_named(checkpoint, capsys):
    """X-4."""
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    said = refused(capsys, checkpoint)
    assert "it lacks model.safetensors. Pickled weights (.bin) are never loaded." in said


def test_pickled_weights_are_not_loaded_from_the_hub_either(checkpoint):
    """X-4."""
    state = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(state, checkpoint / "pytorch_model.bin")
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(checkpoint), trust_remote_code=False)


def test_damaged_weights_are_refused(checkpoint, capsys):
    """X-4."""
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert f"{checkpoint} cannot be loaded: " in refused(capsys, checkpoint)
    (checkpoint / "config.json").write_text("{")
    assert f"{checkpoint} cannot be loaded: " in refused(capsys, checkpoint)


def test_code_of_a_checkpoint_runs_only_if_asked(checkpoint, capsys):
    """X-4."""
    config = json.loads((checkpoint / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "own.py").write_text("raise SystemExit('code ran')")
    assert "add --trust-remote-code" in refused(capsys, checkpoint)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./nowhere", "There is no folder ./nowhere."),
        ("/no/where", "There is no folder /no/where."),
        ("runs/no/where", "There is no folder runs/no/where."),
        ("no/where", "There is no folder no/where, and from the hub it cannot be loaded:"),
        (__file__, "is a file, but a checkpoint is a folder."),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name, message, capsys):
    """X-1."""
    assert message in refused(capsys, name)


def test_more_than_the_model_reads_is_refused(checkpoint, capsys):
    """X-1."""
    said = refused(capsys, checkpoint, "--prompt", "a b c", "--max-tokens", "30")
    assert "has 3 tokens; with a response of 30 that is more than the 32" in said


def test_the_best_of_several_candidates_is_printed(checkpoint, capsys):
    """IRL-3: as the recovered reward of a checkpoint ranks them, by sum or mean."""
    argv = ["--prompt", "a b", "--prompt", "c", "--num", "2", "--max-tokens", "5"]
    ranked = [*argv, "--best-of", "4", "--rank-by", checkpoint]
    for more, average in (([], False), (["--rank-average"], True)):
        rows = written(capsys, checkpoint, *ranked, *more)
        assert [row["prompt"] for row in rows] == ["a b", "a b", "c", "c"]
        for row in rows:
            found = row["candidates"]
            assert found[0] == {"response": row["response"], "score": row["score"]}
            assert len(found) == 4
            scores = [candidate["score"] for candidate in found]
            assert scores == sorted(scores, reverse=True)
            texts = [candidate["response"] for candidate in found]
            reward = Recovered(path=str(checkpoint), average=average).build()
            alone = reward([row["prompt"]] * 4, texts).scores.tolist()
            assert scores == pytest.approx(alone, abs=1e-4)
        assert len({row["response"] for row in rows}) > 1
    best = [row["prompt"] + row["response"] for row in written(capsys, checkpoint, *ranked)]
    assert cli.main(["generate", *map(str, [checkpoint, *ranked])]) == 0
    assert capsys.readouterr().out == "\n---\n".join(best) + "\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--best-of", "3"], "--best-of 3 needs a reward to rank by. Give --rank-by CHECKPOINT"),
        (["--rank-by", "x"], "--rank-by x has nothing to rank: there is one candidate"),
        (["--best-of", "3", "--rank-by", "./nowhere"], "There is no folder ./nowhere."),
    ],
)
def test_ranking_needs_candidates_and_a_judge(argv, message, checkpoint, capsys):
    """IRL-3: refused before anything is written."""
    assert message in refused(capsys, checkpoint, *argv)
