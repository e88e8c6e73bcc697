"""Settings that contradict each other, or would do nothing, are refused."""

import pytest

from tutelage.config import Config, UserError
from tutelage.lessons.shaping import Kl, Shaping


def check(settings: Config) -> None:
    if isinstance(settings, Shaping):
        settings.check(has_critic=True)
    elif isinstance(settings, Kl):
        settings.check()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Shaping(missing_end="replace"), "Give --shaping.missing-end-penalty"),
        (Shaping(truncation="mask", missing_end_penalty=1), "--shaping.truncation mask leaves out"),
        (Shaping(truncation="bootstrap", missing_end_penalty=1), "bootstrap leaves out"),
        (Kl(reference="none", coef=0.1), "--kl.coef 0.1 is the weight of the KL to a reference"),
        (Kl(reference="none", place="loss"), "--kl.place loss is a place for the KL"),
        (Kl(horizon=100), "Give --kl.target, or leave it out"),
        (Kl(reference="none", target=1), "needs a reference"),
    ],
)
def test_what_would_do_nothing_is_refused(settings: Config, said: str) -> None:
    """X-1: in a sentence that names the option."""
    with pytest.raises(UserError) as caught:
        check(settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        Shaping(),
        Shaping(missing_end="replace", missing_end_penalty=1),
        Shaping(truncation="mask"),
        Kl(),
        Kl(reference="none"),
        Kl(reference="none", coef=0.0),
        Kl(target=1, horizon=100),
        Kl(place="loss", coef=0.1),
    ],
)
def test_the_rest_is_taken(settings: Config) -> None:
    """X-1: also once more from a saved file, in which every option is written."""
    check(settings)
    check(type(settings).model_validate(settings.model_dump(mode="json")))
