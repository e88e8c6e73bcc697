import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from tutelage.config import UserError
from tutelage.rollout.generate import generate

WORDS = ["<eos>", *"abcdefghijklmnop"]


@pytest.fixture(scope="module")
def tokenizer():
    """A word is a token, and nothing is added to a text."""
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>")


@pytest.fixture(scope="module")
def model():
    """A random GPT-2 whose next token depends on all tokens and positions before it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=len(WORDS),
            n_positions=32,
            n_embd=16,
            n_layer=2,
            n_head=2,
            initializer_range=1.0,
            resid_pdrop=0.5,
            bos_token_id=0,
            eos_token_id=0,
        )
        return GPT2LMHeadModel(config).eval()


def by_hand(model, token_ids: list[int], max_tokens: int) -> list[int]:
    """The likeliest token, one at a time, without cache, padding or mask."""
    new: list[int] = []
    while len(new) < max_tokens and (not new or new[-1] != 0):
        logits = model(torch.tensor([token_ids + new])).logits
        new.append(int(logits[0, -1].argmax()))
    return new


prompts = st.lists(st.sampled_from(WORDS[1:]), max_size=12).map(" ".join)


@settings(max_examples=10)
@given(st.lists(prompts, min_size=1, max_size=5))
def test_greedy_rows_are_the_likeliest_tokens_whatever_else_is_in_the_batch(
    model, tokenizer, batch
):
    """X-1."""
    responses = generate(model, tokenizer, batch, max_tokens=6, greedy=True)
    for prompt, response in zip(batch, responses, strict=True):
        token_ids = tokenizer(prompt)["input_ids"] or [0]
        expected = [WORDS[i] for i in by_hand(model, token_ids, 6) if i]
        assert response.split() == expected


def test_more_rows_than_fit_at_once_keep_their_order(model, tokenizer, monkeypatch):
    """X-1."""
    batch = ["a", "b c", "d e f", "", "g"]
    whole = generate(model, tokenizer, batch, max_tokens=6, greedy=True)
    monkeypatch.setattr("tutelage.rollout.generate.ROWS_AT_ONCE", 2)
    assert generate(model, tokenizer, batch, max_tokens=6, greedy=True) == whole
    assert generate(model, tokenizer, [], max_tokens=6) == []


def test_the_seed_decides_and_the_callers_random_state_stays(model, tokenizer):
    """X-3."""
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = generate(model, tokenizer, ["a"] * 8, max_tokens=8, temperature=3, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    assert generate(model, tokenizer, ["a"] * 8, max_tokens=8, temperature=3, seed=1) == first
    assert generate(model, tokenizer, ["a"] * 8, max_tokens=8, temperature=3, seed=2) != first
    assert len(set(first)) > 1


def test_dropout_is_off_while_generating_and_on_again_afterwards(model, tokenizer):
    """X-1."""
    quiet = generate(model, tokenizer, ["a b"] * 4, max_tokens=8, greedy=True)
    model.train()
    try:
        assert generate(model, tokenizer, ["a b"] * 4, max_tokens=8, greedy=True) == quiet
        assert model.training
    finally:
        model.eval()


@pytest.mark.parametrize(
    "options", [{"top_k": 1}, {"top_p": 1e-6}, {"temperature": 1e-4}], ids=lambda o: next(iter(o))
)
def test_each_sampling_option_narrows_to_the_likeliest_token(model, tokenizer, options):
    """X-1."""
    greedy = generate(model, tokenizer, ["a b", "c"], max_tokens=6, greedy=True)
    assert generate(model, tokenizer, ["a b", "c"], max_tokens=6, **options) == greedy


def test_all_tokens_can_be_sampled_and_with_their_own_probability(model, tokenizer):
    """X-1. Neither the library's top-k of 50 nor settings in the model's folder take part."""
    model.generation_config = GenerationConfig(top_k=1, repetition_penalty=9.0, eos_token_id=0)
    own = model.generation_config
    responses = generate(model, tokenizer, ["a b"] * 1280, max_tokens=1, temperature=4.0)
    assert model.generation_config is own
    token_ids = torch.tensor([WORDS.index(response.strip() or "<eos>") for response in responses])
    logits = model(torch.tensor([tokenizer("a b")["input_ids"]])).logits[0, -1] / 4.0
    found = torch.bincount(token_ids, minlength=len(WORDS)) / 1280
    # Five standard deviations of a frequency over 1280 samples are at most 0.07.
    assert (found - logits.softmax(-1)).abs().max() < 0.07


def test_texts_longer_than_the_model_reads_are_refused(model, tokenizer):
    """X-1."""
    generate(model, tokenizer, ["a b"], max_tokens=30, greedy=True)
    with pytest.raises(UserError, match="Ask for at most 30 tokens, or shorten the prompt"):
        generate(model, tokenizer, ["a", "a b"], max_tokens=31)
    with pytest.raises(UserError, match=r"has 40 tokens; .* reads\. Shorten the prompt\."):
        generate(model, tokenizer, ["a " * 40], max_tokens=1)


def test_an_empty_prompt_without_a_token_to_begin_with_is_refused(model, tokenizer):
    """X-1."""
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer)
    with pytest.raises(UserError, match="An empty prompt needs a token"):
        generate(model, bare, [""], max_tokens=1)
    assert len(generate(model, bare, ["a", "a b"], max_tokens=1)) == 2


def test_an_end_that_the_tokenizer_adds_is_not_part_of_the_prompt(model, tokenizer):
    """X-1."""
    from tokenizers.processors import TemplateProcessing

    ending = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer._tokenizer.to_str()),
        eos_token="<eos>",
        bos_token="a",
    )
    ending._tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 0)]
    )
    assert ending("b c")["input_ids"][-1] == 0
    plain = generate(model, tokenizer, ["b c"], max_tokens=6, greedy=True)
    assert generate(model, ending, ["b c"], max_tokens=6, greedy=True) == plain


def test_a_real_model_continues_each_prompt_as_it_would_alone(shared_data):
    """X-1."""
    folder = shared_data / "stories260K"
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    batch = [
        "Once upon a time",
        "Lily and her mom went to the park to play. She saw a",
        "",
        "The dog",
    ]
    together = generate(model, tokenizer, batch, max_tokens=30, greedy=True)
    alone = [generate(model, tokenizer, [prompt], max_tokens=30, greedy=True) for prompt in batch]
    assert [together[i] for i in range(len(batch))] == [response for (response,) in alone]
    assert together[0].startswith(", there was a little girl named Lily.")
    assert together[3][0] == " "


@pytest.mark.parametrize("greedy", [False, True])
def test_rows_that_fill_a_vocabulary_up_are_never_drawn(model, greedy):
    """X-1: a model may have more embeddings than there are tokens."""
    few = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS[:5])}))
    few.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=few, eos_token="<eos>")
    drawn = generate(model, tokenizer, ["a", "b"] * 8, max_tokens=8, greedy=greedy)
    counts = [len(tokenizer(text)["input_ids"]) for text in drawn]
    assert max(counts) == 8
