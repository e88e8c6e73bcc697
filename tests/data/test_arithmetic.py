"""Made problems have several right solutions, and the reward for GSM8K can read them."""

import re

import pytest

from data.tokenizers_of_prompts import byte_level
from tutelage.data.arithmetic import ArithmeticExamples, solution
from tutelage.data.lengths import Lengths
from tutelage.rewards.gsm8k import Gsm8k

SIGNED = re.compile(r"(-?) ?(\d+)")


def read(**options):
    source = ArithmeticExamples(**{"num_examples": 400} | options)
    source.check()
    return source.read(byte_level(), lengths=Lengths(), val_fraction=0.1, seed=0)


def terms(prompt: str) -> list[int]:
    """The numbers of a problem, with their signs."""
    problem = prompt.removeprefix("QUESTION: ").removesuffix(" = ?\n\nSOLUTION:")
    return [int(sign + digits) for sign, digits in SIGNED.findall(problem)]


@pytest.mark.parametrize(
    ("order", "written"),
    [
        ((12, -4, 7), " 12 - 4 = 8; 8 + 7 = 15 #### 15"),
        ((7, 12, -4, -15), " 7 + 12 = 19; 19 - 4 = 15; 15 - 15 = 0 #### 0"),
    ],
)
def test_a_solution_takes_the_terms_one_by_one(order, written):
    """IRL-1."""
    assert solution(order) == written


@pytest.mark.parametrize("options", [{}, {"num_terms": 5, "largest": 9}, {"num_terms": 8}])
def test_every_step_is_right_and_uses_each_term_once(options):
    """IRL-1: checked with the reward's own reading of numbers."""
    for example, _, _, is_cut in read(**options).train:
        given = terms(example.prompt)
        steps = [step.split(" = ") for step in example.completion.split(" ####")[0].split("; ")]
        used = [int(SIGNED.match(steps[0][0].strip())[2])]
        for sum_, result in steps:
            first, sign, second = sum_.split()
            assert int(first) == sum(used)
            used.append(int(sign + second))
            assert int(result) == sum(used) >= 0
        assert sorted(used) == sorted(given)
        assert example.answer == str(sum(given))
        assert not is_cut
        scores = Gsm8k().score([example.prompt], [example.completion], answer=[example.answer])
        assert scores.scores.tolist() == [1.0]


def test_problems_have_several_solutions_and_the_seed_draws_one():
    """IRL-1: or diversity of responses would mean nothing."""
    data = read(num_examples=400, num_solutions=20, largest=9)
    by_prompt: dict[str, set[str]] = {}
    for each in [*data.train, *data.validation]:
        by_prompt.setdefault(each.example.prompt, set()).add(each.example.completion)
    assert min(map(len, by_prompt.values())) >= 2
    orders = [tuple(terms(each.example.prompt)) for each in data.train]
    first = [each.example.completion.split()[0] for each in read().train]
    given = [each.example.prompt.split()[1] for each in read().train]
    assert len(set(orders)) > 10
    assert 0.2 < sum(one == other for one, other in zip(first, given, strict=True)) / 360 < 0.8


def test_no_problem_is_in_both_parts_in_whatever_order():
    """IRL-1."""
    data = read(num_examples=3000, largest=9)
    train, validation = (
        {tuple(sorted(terms(e.example.prompt))) for e in part} for part in data[:2]
    )
    assert validation
    assert not train & validation


def test_the_options_alone_decide_the_problems():
    """IRL-1, RM-7: the split's seed changes none."""
    assert read() == read()
    source, other = ArithmeticExamples(num_examples=50), ArithmeticExamples(num_examples=50, seed=1)
    assert list(source.texts()) == list(source.texts()) != list(other.texts())
    assert source.fingerprint() == ArithmeticExamples(num_examples=50).fingerprint()
    assert len({source.fingerprint(), other.fingerprint()}) == 2
    assert read().answers == "gsm8k"
    texts = list(source.texts())
    assert texts[0].startswith("QUESTION: ")
    assert " #### " in texts[1]
