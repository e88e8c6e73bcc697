"""Ages at which people acquire words: children's reports and adults' ratings (EV-4)."""

import numpy as np
import pytest

from tutelage.config import UserError
from tutelage.evals.human_ages import age_at_half, read_ages

MONTHS = list(range(16, 31))


@pytest.mark.parametrize("middle", [17.5, 22.0, 29.0])
@pytest.mark.parametrize("steepness", [0.2, 0.6])
def test_age_is_where_half_of_the_children_say_the_word(middle, steepness):
    """EV-4: shares on a logistic curve from 0 to 1."""
    shares = 1 / (1 + np.exp(-steepness * (np.array(MONTHS) - middle)))
    assert age_at_half(MONTHS, shares) == pytest.approx(middle, abs=0.01)


def test_half_is_half_of_all_children_not_of_those_who_will_say_it():
    """EV-4: a curve from 0 to 0.8 has 0.5 at middle + ln(0.5 / 0.3) / steepness."""
    shares = 0.8 / (1 + np.exp(-0.5 * (np.array(MONTHS) - 22)))
    assert age_at_half(MONTHS, shares) == pytest.approx(22 + np.log(5 / 3) / 0.5, abs=0.05)


@pytest.mark.parametrize(
    "shares",
    [np.full(15, 0.9), np.full(15, 0.1), np.linspace(0.9, 0.2, 15), np.linspace(0.1, 0.45, 15)],
)
def test_no_age_outside_of_the_months(shares):
    """EV-4: known before, not known after, forgotten."""
    assert age_at_half(MONTHS, shares) is None


def test_both_kinds_of_files_are_read(tmp_path):
    """EV-4: of several rows about a word the first one counts; empty cells are left out."""
    ratings = tmp_path / "ratings.csv"
    ratings.write_text("id,age_of_acquisition,word\n1,4.5,ball\n2,9,ball\n3,NA,dog\n4,3,cat\n")
    assert read_ages(ratings) == {"ball": 4.5, "cat": 3.0}
    shares = 1 / (1 + np.exp(-0.5 * (np.array(MONTHS) - 22)))
    cells = [f"{share:.4f}" for share in shares]
    cells[3] = ""
    rows = ["word," + ",".join(map(str, MONTHS)), "ball," + ",".join(cells), "dog" + ",0.1" * 15]
    children = tmp_path / "children.csv"
    children.write_text("\n".join(rows) + "\n")
    assert read_ages(children) == {"ball": pytest.approx(22, abs=0.05)}
    children.write_text("\n".join(rows).replace("word", "definition") + "\n")
    assert list(read_ages(children)) == ["ball"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word,age\nball,3\n", "has no ages of acquisition"),
        ("age_of_acquisition\n3\n", "has no ages of acquisition"),
        ("", "has no ages of acquisition"),
        ("word,age_of_acquisition\nball,old\n", r"ages\.csv, line 2 is no row of ages .*'old'"),
        ("word,16,17\nball,0.1,x\n", r"ages\.csv, line 2 is no row of ages"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    """X-1."""
    (tmp_path / "ages.csv").write_text(content)
    with pytest.raises(UserError, match=message):
        read_ages(tmp_path / "ages.csv")
    with pytest.raises(UserError, match=r"none\.csv does not exist"):
        read_ages(tmp_path / "none.csv")


def test_ages_of_published_files(shared_data):
    """EV-4: the entries that the official evaluator gives an age (399), spelled as words."""
    ages = read_ages(shared_data / "wordbank" / "child_american_english_proportions.csv")
    assert len(ages) == 404  # entries such as inside/in are two words, two chickens are one
    assert {"chicken", "inside", "in"} <= set(ages)
    assert not any("(" in word or "/" in word or "*" in word for word in ages)
    assert all(16 <= age <= 30 for age in ages.values())
    assert ages == ages | {
        "vroom": pytest.approx(16.6581, abs=1e-3),
        "cake": pytest.approx(21.3697, abs=1e-3),
        "chair": pytest.approx(19.898, abs=1e-3),
        "girl": pytest.approx(23.2273, abs=1e-3),
    }
    ratings = read_ages(shared_data / "kuperman_aoa" / "kuperman_2012_aoa_dataset.csv")
    assert len(ratings) == 2471
    assert ratings["cassava"] == 17.44
