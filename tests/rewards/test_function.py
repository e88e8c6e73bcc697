import sys
import threading
from pathlib import Path

import pytest
import torch

from tutelage.config import UserError
from tutelage.rewards.function import Function
from tutelage.rewards.protocol import RewardError

PROMPTS = ["One day", "Once"]
RESPONSES = [" a cat", " a dog"]


@pytest.fixture(autouse=True)
def clean_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder of a test is left where modules are looked for."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def write(folder: Path, code: str, name: str = "my_reward.py") -> str:
    """The path of the function `score` in a file with this code."""
    file = folder / name
    file.write_text(code, encoding="utf-8")
    return f"{file}:score"


def scored(path: str, prompts=PROMPTS, responses=RESPONSES, timeout_seconds=60.0, **columns):
    config = Function(path=path, timeout_seconds=timeout_seconds)
    config.check()
    return config.build()(prompts, responses, **columns)


def refusal(path: str) -> str:
    with pytest.raises(UserError) as caught:
        Function(path=path).check()
    return str(caught.value)


def failure(path: str, **options) -> RewardError:
    with pytest.raises(RewardError) as caught:
        scored(path, **options)
    return caught.value


# What is given and what comes back


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        ("responses", ["responses"]),
        ("prompts, responses", ["prompts", "responses"]),
        ("responses, answer, *, prompts", ["answer", "prompts", "responses"]),
        ("responses, other=None", ["other", "responses"]),
        ("**everything", ["answer", "level", "prompts", "responses"]),
        ("responses, **rest", ["answer", "level", "prompts", "responses"]),
    ],
)
def test_a_function_gets_what_it_names(parameters, names, tmp_path):
    """PPO-2: prompts, responses and columns, as lists."""
    path = write(
        tmp_path,
        f"def score({parameters}):\n"
        "    given = dict(locals())\n"
        "    given |= given.pop('everything', {}) | given.pop('rest', {})\n"
        "    score.given = given\n"
        "    return [1, 2]\n",
    )
    answers = ("4", "5")
    found = scored(path, tuple(PROMPTS), tuple(RESPONSES), answer=answers, level=[1, 2])
    reward = Function(path=path).build()
    given = reward.function.given  # pyright: ignore
    assert sorted(given) == names
    columns = {"prompts": PROMPTS, "responses": RESPONSES, "answer": list(answers)}
    assert all(given[name] == columns[name] for name in columns if name in given)
    assert found.scores.tolist() == [1.0, 2.0]
    assert found.terms["score"].tolist() == [1.0, 2.0]


def test_columns_without_a_default_are_needed(tmp_path):
    """PPO-2."""
    path = write(tmp_path, "def score(responses, answer, level=3):\n    return [1, 1]\n")
    assert Function(path=path).columns() == ("answer",)
    message = str(failure(path, answers=["4", "5"]))
    assert "takes answer, but the prompts have no such column. Did you mean answers?" in message


@pytest.mark.parametrize(
    "returned",
    ["[1, 2]", "(1, 2)", "numpy.array([1, 2])", "torch.tensor([1.0, 2.0], requires_grad=True) * 1"],
)
def test_lists_arrays_and_tensors_are_scores(returned, tmp_path):
    """PPO-2."""
    code = f"import numpy, torch\n\ndef score(responses):\n    return {returned}\n"
    found = scored(write(tmp_path, code))
    assert found.scores.tolist() == [1.0, 2.0]
    assert not found.scores.requires_grad


def test_named_terms_are_summed(tmp_path):
    """PPO-2: every term is logged."""
    code = "def score(responses):\n    return {'polite': [1, 2], 'short': [0.5, -1]}\n"
    found = scored(write(tmp_path, code))
    assert found.scores.tolist() == [1.5, 1.0]
    assert {name: term.tolist() for name, term in found.terms.items()} == {
        "polite": [1.0, 2.0],
        "short": [0.5, -1.0],
    }


def test_a_function_in_a_module_is_found(tmp_path, monkeypatch):
    """PPO-2: in the current folder, too."""
    (tmp_path / "teaching_pack").mkdir()
    code = "from teaching_pack.half import half\n\ndef score(responses):\n    return [half, half]\n"
    (tmp_path / "teaching_pack" / "rewards.py").write_text(code)
    (tmp_path / "teaching_pack" / "half.py").write_text("half = 0.5\n")
    monkeypatch.chdir(tmp_path)
    assert scored("teaching_pack.rewards:score").scores.tolist() == [0.5, 0.5]


def test_a_file_may_import_its_neighbour(tmp_path):
    """PPO-2."""
    (tmp_path / "my_constants.py").write_text("half = 0.5\n")
    code = "def score(responses):\n    from my_constants import half\n    return [half, half]\n"
    assert scored(write(tmp_path, code)).scores.tolist() == [0.5, 0.5]


def test_a_file_is_run_once_unless_it_changes(tmp_path):
    """PPO-2: check and build do not load a model twice."""
    log = tmp_path / "log"
    code = (
        f"with open({str(log)!r}, 'a') as log:\n    log.write('x')\n\n"
        "def score(responses):\n    return [1, 1]\n"
    )
    path = write(tmp_path, code)
    scored(path)
    scored(path)
    assert log.read_text() == "x"
    assert scored(write(tmp_path, code.replace("[1, 1]", "[2, 2]"))).scores.tolist() == [2.0, 2.0]


def test_an_object_that_can_be_called_is_a_function(tmp_path):
    """PPO-2."""
    code = (
        "from dataclasses import dataclass\n\n@dataclass\nclass Score:\n    value: float\n\n"
        "    def __call__(self, responses):\n        return [self.value] * len(responses)\n\n"
        "score = Score(3.0)\n"
    )
    assert scored(write(tmp_path, code)).scores.tolist() == [3.0, 3.0]


def test_no_gradients_are_kept(tmp_path):
    """PPO-2."""
    code = (
        "import torch\n\ndef score(responses):\n"
        "    return [float(torch.is_grad_enabled())] * len(responses)\n"
    )
    assert scored(write(tmp_path, code)).scores.tolist() == [0.0, 0.0]
    assert torch.is_grad_enabled()


def test_the_function_is_not_called_for_an_empty_batch(tmp_path):
    """PPO-2."""
    path = write(tmp_path, "def score(responses):\n    return [1 / 0]\n")
    assert scored(path, [], []).scores.shape == (0,)


# What is refused before a run


def test_a_missing_file_is_refused_with_the_nearest(tmp_path):
    """X-1."""
    write(tmp_path, "def score(responses):\n    return [1]\n")
    message = refusal(str(tmp_path / "my_rewards.py:score"))
    assert "there is no file" in message
    assert "Did you mean my_reward.py?" in message
    assert "there is no file" in refusal(str(tmp_path / "no_folder" / "my.py:score"))


def test_a_missing_name_is_refused_with_the_nearest(tmp_path):
    """X-1."""
    path = write(tmp_path, "def scores(responses):\n    return [1]\n")
    assert "has no score. Did you mean scores?" in refusal(path)


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("score", "names no function"),
        ("my.py:", "names no function"),
        (":score", "names no function"),
        ("no_such_module_here:score", "there is no module no_such_module_here"),
        ("json.nothing:score", "there is no module json.nothing"),
        ("json:dumbs", "json has no dumbs. Did you mean dumps?"),
        ("math:pi", "pi is a float, no function"),
        ("builtins:len", "takes (obj, /), but no responses"),
        ("builtins:max", "does not say which parameters it has"),
    ],
)
def test_a_path_that_names_no_reward_is_refused(path, part):
    """X-1."""
    assert part in refusal(path)


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("score = 3\n", "score is a int, no function."),
        (
            "def score(response):\n    pass\n",
            "(response), but no responses. Did you mean response?",
        ),
        ("def score(text, /, responses):\n    pass\n", "can't be given text by name"),
        ("import no_such_package_here\n", "failed: ModuleNotFoundError: No module named"),
        ("\n\nx = 1 / 0\n", "failed: ZeroDivisionError: division by zero (my_reward.py, line 3)"),
        ("def score(:\n", "failed: SyntaxError"),
        ("raise SystemExit(3)\n", "failed: SystemExit: 3 (my_reward.py, line 1)"),
    ],
)
def test_a_file_without_a_reward_is_refused(code, part, tmp_path):
    """X-1."""
    message = refusal(write(tmp_path, code))
    assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["total", "std"])
def test_a_function_named_like_a_key_of_the_logs_is_refused(name, tmp_path):
    """X-1: the sum of all rewards and its standard deviation."""
    path = write(tmp_path, f"def {name}(responses):\n    return [1]\n")
    path = path.replace(":score", f":{name}")
    assert "needs another name" in refusal(path)


# What fails in a run


@pytest.mark.parametrize(
    ("returned", "part"),
    [
        (
            "[1.0, float('nan')]",
            "returned nan for sample 2 of 2 (prompt 'Once', response ' a dog')",
        ),
        ("[1.0]", "returned only 1 numbers: there is none for sample 2 of 2"),
        ("[1.0] * 3", "returned 3 numbers for 2 samples."),
        ("None", "returned None for 2 samples."),
        ("['bad', 1]", "returned 'bad' (str) instead of a number for sample 1 of 2"),
        ("{'polite': [1, None]}", "(term polite) returned None instead of a number for sample 2"),
        ("{'polite': 1}", "(term polite) returned '1' (int) for 2 samples."),
        ("{'a b': [1, 1]}", "has a term named 'a b'"),
        ("{}", "returned an empty dictionary"),
        ("{'a': [6e5] * 2, 'b': [6e5] * 2}", "(sum of its terms) returned 1200000.0 for sample 1"),
    ],
)
def test_what_is_no_score_is_refused(returned, part, tmp_path):
    """PPO-2: with function and sample."""
    path = write(tmp_path, f"def score(responses):\n    return {returned}\n")
    message = str(failure(path))
    assert message.startswith(f"The function {path}")
    assert part in message


def test_an_exception_names_its_line_and_the_sample(tmp_path):
    """PPO-2: the sample that caused it, and the traceback."""
    code = "def score(responses):\n    return [1 / response.count('c') for response in responses]\n"
    error = failure(write(tmp_path, code))
    assert (
        "raised ZeroDivisionError: division by zero (my_reward.py, line 2) for sample 2 of 2"
        in (str(error))
    )
    assert (error.index, error.prompt, error.response) == (1, "Once", " a dog")
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert error.__cause__.__traceback__ is not None


def test_an_exception_of_the_whole_batch_blames_nobody(tmp_path):
    """PPO-2."""
    path = write(tmp_path, "def score(responses):\n    return [1 / (2 - len(responses))]\n")
    error = failure(path)
    assert "line 2) for a batch of 2 samples." in str(error)
    assert error.index is None


def test_a_function_may_change_the_lists_it_gets(tmp_path):
    """PPO-2: and still the right sample is named."""
    code = "def score(responses):\n    while responses:\n        1 / responses.pop(0).count('c')\n"
    assert failure(write(tmp_path, code)).index == 1


def test_leaving_the_program_is_an_exception_like_others(tmp_path):
    """PPO-2."""
    error = failure(write(tmp_path, "def score(responses):\n    raise SystemExit(5)\n"))
    assert "raised SystemExit: 5 (my_reward.py, line 2) for sample 1 of 2" in str(error)


def test_a_timeout_of_its_own_is_an_exception_like_others(tmp_path):
    """PPO-2."""
    error = failure(write(tmp_path, "def score(responses):\n    raise TimeoutError('slow')\n"))
    assert "raised TimeoutError: slow" in str(error)


@pytest.mark.parametrize(("count", "part"), [(2, "for a batch of 2 samples."), (1, "for sample 1")])
def test_a_function_that_never_returns_is_given_up(count, part, tmp_path):
    """PPO-2."""
    code = "import time\n\ndef score(responses):\n    while True:\n        time.sleep(0.01)\n"
    error = failure(
        write(tmp_path, code),
        prompts=PROMPTS[:count],
        responses=RESPONSES[:count],
        timeout_seconds=0.2,
    )
    assert f"did not return within 0.2 seconds {part}" in str(error)
    assert "raise timeout_seconds in the run's config.yaml" in str(error)
    assert "reward" not in [thread.name for thread in threading.enumerate()]  # it was ended
