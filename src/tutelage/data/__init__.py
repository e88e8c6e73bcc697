"""Corpora, prompts, completions, preferences, ages, tokenizers and packed blocks."""

from typing import Annotated

from pydantic import Field

from tutelage.data.ages import Ages
from tutelage.data.arithmetic import ArithmeticExamples
from tutelage.data.completion_sources import FileExamples, Gsm8kExamples
from tutelage.data.corpora import BabyLMCorpus, BookCorpus, TextCorpus, TinyStoriesCorpus
from tutelage.data.grammar import NurseryCorpus
from tutelage.data.pair_sources import FilePairs, HhRlhfPairs, NurseryPairs
from tutelage.data.prompt_builders import (
    CombinedPrompts,
    FixedPrompt,
    ImdbPrompts,
    NurseryPrompts,
    TextPrompts,
    TinyStoriesPrompts,
    WritingPrompts,
)

AnyCorpus = Annotated[
    NurseryCorpus | TextCorpus | TinyStoriesCorpus | BabyLMCorpus | BookCorpus,
    Field(discriminator="kind"),
]

AnyPrompts = Annotated[
    NurseryPrompts
    | TinyStoriesPrompts
    | ImdbPrompts
    | WritingPrompts
    | FixedPrompt
    | TextPrompts
    | CombinedPrompts,
    Field(discriminator="kind"),
]

AnyRewardData = Annotated[
    NurseryPairs | HhRlhfPairs | FilePairs | Ages, Field(discriminator="kind")
]

AnyExamples = Annotated[
    ArithmeticExamples | Gsm8kExamples | FileExamples, Field(discriminator="kind")
]
