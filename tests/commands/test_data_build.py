"""`tutelage data build`: a folder of prepared examples with a page about it, for the hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from data.tokenizers_of_prompts import byte_level
from train.test_checkpoint import Hub, hub  # noqa: F401 - a fixture
from tutelage.cli import main
from tutelage.commands import data_build
from tutelage.data.completion_sources import FileExamples
from tutelage.data.lengths import Lengths

ROWS = [
    {
        "question": "Weng earns $12 an hour for babysitting. Yesterday, she just did 50 minutes "
        "of babysitting. How much did she earn?",
        "answer": "Weng earns 12/60 = $<<12/60=0.2>>0.2 per minute.\nWorking 50 minutes, she "
        "earned 0.2 x 50 = $<<0.2*50=10>>10.\n#### 10",
    },
    *(
        {"question": f"What is {n} + 3?", "answer": f"It is {n + 3}.\n#### {n + 3}"}
        for n in range(9)
    ),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file of questions and a tokenizer."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "here"
    byte_level().save_pretrained(folder / "tokenizer")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    monkeypatch.chdir(folder)
    return folder


def build(**more: object) -> list[str]:
    values = {
        "data.kind": "file",
        "data.path": "rows.jsonl",
        "tokenizer.path": "tokenizer",
        "lengths.max-tokens": 200,
        "val-fraction": 0.2,
        "out": "built",
        **{name.replace("__", ".").replace("_", "-"): value for name, value in more.items()},
    }
    given = {name: value for name, value in values.items() if value is not None}
    return ["data", "build", *(str(w) for name, v in given.items() for w in (f"--{name}", v))]


def test_the_folder_holds_both_parts_and_a_page_and_is_read_back(place, capsys):
    """IRL-1: the same tokens as when the data are read directly."""
    assert main(build()) == 0
    assert sorted(file.name for file in (place / "built").iterdir()) == [
        "README.md", "train.parquet", "validation.parquet",
    ]  # fmt: skip
    how = {"lengths": Lengths(max_tokens=200), "val_fraction": 0.2, "seed": 0}
    tokenizer = AutoTokenizer.from_pretrained(place / "tokenizer")
    direct = FileExamples(path="rows.jsonl").read(tokenizer, **how)
    again = FileExamples(path="built").read(tokenizer, **how)
    assert direct.answers == again.answers == "gsm8k"
    for part, other in zip(direct[:2], again[:2], strict=True):
        assert [each[1:] for each in part] == [each[1:] for each in other]
    shown = " ".join(capsys.readouterr().out.split())
    assert "Data: 7 for training, 2 for validation; left out: 1 longer than max_tokens" in shown
    assert "left out: longer than max_tokens │ 1 │" in shown
    assert "train, both" in shown


def test_the_page_tells_counts_lengths_and_how_to_read_it(place):
    """IRL-1: and no path of this machine."""
    assert main(build(data__path=place / "rows.jsonl", lengths__long_completions="cut")) == 0
    page = (place / "built" / "README.md").read_text()
    assert page.startswith("---\nconfigs:\n- config_name: default\n  data_files:\n")
    assert "  - split: train\n    path: train.parquet\n  - split: validation\n" in page
    assert "Source: `file`, rows.jsonl. Tokenizer: tokenizer, 257 tokens. Seed 0." in page
    assert "`--lengths.max-tokens 200 --lengths.long-completions cut`" in page
    assert "| read | 10 |" in page
    assert "| used, with a completion cut | 1 |" in page
    assert "\n| tokens of | mean | median | 95 % have at most | longest |\n" in page
    assert "| train, both | " in page
    assert str(place) not in page


def test_made_problems_are_built_too(place):
    """IRL-1, X-9: no file is needed."""
    options = {"data__kind": "arithmetic", "data__path": None, "data__num_examples": 50}
    assert main(build(**options)) == 0
    assert "Source: `arithmetic`. " in (place / "built" / "README.md").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "old"}, "--out old exists. Name another folder, or delete it."),
        ({"tokenizer__path": None}, "no tokenizer is given: set --tokenizer.path to a saved one"),
        ({"tokenizer__path": "rows.jsonl"}, "rows.jsonl is not a folder"),
        ({"data__path": "none.jsonl"}, "none.jsonl does not exist"),
        ({"data__prompt_template": "{{ quest }}"}, "names 'quest', but the row's fields are "
         "'question', 'answer'. Did you mean question?"),
        ({"data__kind": "fil", "data__path": None}, "Did you mean file?"),
        ({"lengths__max_tokens": 9}, "none of its 10 examples can be used: 10 longer than"),
        ({"push": "me"}, "push is 'me', but it must"),
        ({"push": "me/data"}, "--push me/data needs a hub token, and none was found."),
    ],
)  # fmt: skip
def test_what_cannot_be_built_is_refused_and_nothing_written(
    place, capsys, monkeypatch, options, message
):
    """X-1: one sentence, status 2."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    (place / "old").mkdir()
    before = sorted(place.iterdir())
    assert main(build(**options)) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(place.iterdir()) == before


def pushed(hub: Hub, arguments: list[str]) -> subprocess.CompletedProcess[str]:  # noqa: F811
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_secret",
    }
    command = [sys.executable, "-m", "tutelage", *arguments, "--push", "me/data"]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_the_folder_is_pushed_after_a_failure(place, hub):  # noqa: F811
    """IRL-1: the whole folder, to a data set of that name; a lost connection is a failure too."""
    hub.failures, hub.is_silent = 1, True
    done = pushed(hub, build())
    assert done.returncode == 0, done.stdout + done.stderr
    assert hub.pushed == {"main": {"README.md", "train.parquet", "validation.parquet"}}
    assert "Push of me/data, attempt 1 of 5: " in done.stdout
    assert "Pushed to me/data." in done.stdout
    assert "# data\n" in (place / "built" / "README.md").read_text()


def test_a_hub_that_fails_leaves_the_folder(place, capsys, monkeypatch):
    """IRL-1: the command that pushes it later is told."""
    monkeypatch.setenv("HF_TOKEN", "hf_secret")  # and HF_HUB_OFFLINE forbids every question
    monkeypatch.setattr(data_build, "RETRIES", 1)
    assert main(build(push="me/data")) == 1
    shown = capsys.readouterr().out
    assert "Push of me/data, attempt 1 of 1: " in shown
    assert "hf upload me/data built --repo-type dataset" in shown
    assert (place / "built" / "train.parquet").is_file()
