"""How good a trial was: rewards, each a configuration that builds a callable."""

from typing import Annotated

from pydantic import Field

from tutelage.rewards.combine import Combine, Term

AnyReward = Annotated[Term | Combine, Field(discriminator="kind")]
