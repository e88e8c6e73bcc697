"""What must hold of a student's first responses: how they are drawn, end, and are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tutelage.commands.doctor_checks import Check, Diagnosis, decided
from tutelage.commands.doctor_student import whole
from tutelage.models.student_module import Student
from tutelage.rewards.protocol import Scores
from tutelage.rollout.engine import Rollout, Sampling, end_tokens
from tutelage.tensors import TokenScores


def support(rollout: Rollout, sampling: Sampling) -> Check:
    """The probability of what could be drawn, under the distribution that is learned."""
    kept = float(rollout.kept_mass[rollout.mask].mean())
    check = Check(
        "support", "What is sampled is what is learned", "probability that can't be drawn",
        abs(1 - kept), 1e-5,
    )  # fmt: skip
    if sampling.support == "truncated":
        return check._replace(
            state="notable",
            remark=f"Sampling is truncated ({_truncation(sampling)}), and so are the "
            "log-probabilities that are learned from: both are among the tokens that could be "
            "drawn. A reference gives those a probability of its own, so the KL is one among them.",
        )
    if sampling.is_truncated():
        return check._replace(
            state="notable",
            remark=f"Sampling is truncated ({_truncation(sampling)}), but log-probabilities are "
            "those of the whole distribution. Estimates of the KL are then not of the KL: they may "
            "be negative, and the entropy of what is drawn is lower than the student's. Keep it if "
            "you mean it; else drop these options, or use --rollout.top-k with "
            "--rollout.support truncated.",
        )
    return decided(
        check,
        Diagnosis(
            "Some tokens that the student gives a probability can't be drawn, though nothing asks "
            "for that. Ratios and the KL are those of another distribution than the one sampled.",
            "a sampler or a model that changes its logits while sampling (a processor, a bias, "
            "forbidden tokens) and not while learning.",
            "take what changes the logits out of the model, or say it as an option: "
            "--rollout.banned-tokens, --rollout.top-k, --rollout.top-p.",
        ),
    )


def surprise(rollout: Rollout, scores: TokenScores) -> Check:
    """How far the drawn tokens' surprisal is from the entropy of what they were drawn from.

    Given the tokens before it, a token's surprisal less the entropy has mean 0, so the sum over n
    tokens has a standard deviation of about √n times that of one.
    """
    assert scores.entropies is not None
    excess = (-scores.logprobs - scores.entropies)[rollout.mask].double()
    error = float(excess.square().sum().sqrt())
    # A student that is certain of every token has neither surprise nor entropy.
    deviations = abs(float(excess.sum())) / error if error > 1e-6 else 0.0
    check = Check(
        "surprise", "Drawn tokens are as surprising as the student expects",
        "difference in standard errors", deviations, 5.0,
    )  # fmt: skip
    tempered = "likelier" if float(excess.sum()) < 0 else "less likely"
    return decided(
        check,
        Diagnosis(
            f"The tokens drawn are {tempered} than tokens of the student's own distribution would "
            "be, so they come from another one. Every estimate from samples (policy gradient, KL) "
            "is then biased.",
            "a temperature in only one of sampling and learning; top-k, top-p or banned tokens "
            "that are not counted; a model whose cached decoding differs from its plain forward "
            "pass.",
            "if the first ratio fails too, mend that. Otherwise look for settings of the sampler "
            "that the configuration does not name.",
        ),
    )


def score_places(rollout: Rollout, scores: Tensor, rewards: Tensor) -> Check:
    """Responses whose score is not on their very last token.

    Args:
        rollout: What was scored.
        scores: One number for each response, none of them 0.
        rewards: The same numbers, placed on tokens (batch, time).
    """
    expected = torch.zeros_like(rewards)
    lasts = torch.tensor([len(row) - 1 for row in rollout.response_ids], device=rewards.device)
    expected[torch.arange(len(lasts)), lasts] = scores
    misplaced = int((rewards != expected).any(1).sum())
    check = Check(
        "score_places", "The reward sits on the last valid token", "responses where it does not",
        misplaced, 0,
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            "A score on another token than the last credits the wrong choice; on padding, or "
            "behind the end token, it is lost.",
            "a mask that was made by comparing tokens with the padding token: where padding and "
            "end token are the same, it loses the end.",
            "make masks from lengths, as Rollout.mask is; never from token ids.",
        ),
    )


def ends(student: Student, tokenizer: Any) -> Check:
    """End tokens that the student can't write, or that the tokenizer does not end texts with."""
    known = end_tokens(student, tokenizer)
    vocab = student.base.get_output_embeddings().weight.shape[0]  # pyright: ignore
    faults = [f"there is no token with the number {token}" for token in known if token >= vocab]
    own = tokenizer.eos_token_id
    if not known:
        faults.append("neither the tokenizer nor generation_config.json names an end token")
    elif own is not None and own not in known:
        faults.append(
            f"the tokenizer ends texts with {own} ({tokenizer.eos_token}), but generation_config"
            f".json ends responses with {', '.join(map(str, known))}"
        )
    remark = ""
    if tokenizer.pad_token_id in known:
        remark = (
            f"The padding token is an end token ({tokenizer.pad_token}). That is harmless here: "
            "masks are made from lengths, never from token ids."
        )
    check = Check(
        "ends", "The end token is a token of the student", "contradictions", len(faults), 0,
        remark=remark,
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            f"A response can't end where it should: {'; '.join(faults)}. It then runs to the limit "
            "of tokens, and a text that has come to its end goes on.",
            "a tokenizer that was exchanged or given new tokens after training; the chat variant "
            "of one and the base variant of the other.",
            "set eos_token_id in generation_config.json (one number or a list) to what the student "
            "was trained to end texts with, and tokenizer.eos_token to one of them.",
        ),
    )


def ending(student: Student, tokenizer: Any, rollout: Rollout) -> Check:
    """The largest probability of an end token anywhere in the responses."""
    rows = whole(rollout, student)
    with torch.no_grad():
        seen = torch.ones_like(rows.token_ids)  # padding is behind: nothing real sees it
        states = student.read(input_ids=rows.token_ids, attention_mask=seen, use_cache=False)
        states = states.map(lambda part: part[:, :-1][rows.keep])
        logits = student.logits(states)
        vocab = logits.shape[1]
        known = [token for token in end_tokens(student, tokenizer) if token < vocab]
        largest = float(logits.softmax(1)[:, known].sum(1).max())
    num_ended = rollout.finish.count("eos")
    check = Check(
        "ending", "The student writes its end token", "largest probability of an end",
        largest, 0.1 / vocab, "least",
    )  # fmt: skip
    if largest >= check.tolerance:
        return check._replace(remark=f"{num_ended} of {len(rollout.finish)} responses ended by it.")
    return check._replace(
        state="notable",
        remark="The student as good as never ends a text with this token, so nearly every response "
        "will run to its limit of tokens. Either it was trained on texts without an end, or it "
        "ends them with another token: then name that one in generation_config.json. If it shall "
        "learn to end, give demonstrations with an end first.",
    )


def reward_numbers(problem: str, num_missing: int) -> Check:
    """Whether the reward gave a number to every response; `problem` says why not."""
    check = Check(
        "reward_numbers", "The reward gives every response a finite number",
        "responses without one", num_missing, 0,
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            f"A run would stop here: {problem}",
            "a response that is empty, or has no answer to find; a division by its length; a "
            "column that the prompts do not have.",
            "mend the reward for the sample named above: it has to return a number for any text.",
        ),
    )


def reward_spread(scores: Scores) -> Check:
    """The standard deviation of the scores."""
    values = scores.scores.double()
    spread = float(values.std(correction=0))
    check = Check(
        "reward_spread", "The reward tells responses apart", "standard deviation of the scores",
        spread, 1e-6, "least",
        remark=f"Scores run from {float(values.min()):.3g} to {float(values.max()):.3g}.",
    )  # fmt: skip
    return decided(
        check,
        Diagnosis(
            f"All {len(values)} responses got the same score, so none is better than another and "
            "there is nothing to learn from.",
            "a reward that looks for something this student never writes (the right answer, a "
            "word); a wrong column or word; scores that are rounded or cut off too early.",
            "read the responses (tutelage generate). Start from a student that is sometimes right, "
            "or add a reward that grows on the way there (--reward.kind combine).",
        ),
    )


def stand_ins(responses: Sequence[Any]) -> Tensor:
    """Scores that are all different and none of them 0, to see where they go."""
    return torch.arange(1.0, len(responses) + 1)


def _truncation(sampling: Sampling) -> str:
    """The options that keep tokens from being drawn."""
    said = {
        "top-k": sampling.top_k,
        "top-p": sampling.top_p if sampling.top_p < 1 else None,
        "min-tokens": sampling.min_tokens,
        "banned-words": ",".join(sampling.banned_words),
        "banned-tokens": ",".join(map(str, sampling.banned_tokens)),
    }
    return ", ".join(f"--rollout.{name} {value}" for name, value in said.items() if value)
