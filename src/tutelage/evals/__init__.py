"""Measures of one checkpoint, or of all milestones of a run."""

from tutelage.config import Entry

SUITES = {
    "perplexity": Entry("tutelage.evals.perplexity:Perplexity", "Perplexity of held-out text."),
    "minimal-pairs": Entry(
        "tutelage.evals.minimal_pairs:MinimalPairs", "BLiMP, its supplement, or the nursery's."
    ),
    "ewok": Entry("tutelage.evals.ewok:EWoK", "Elements of world knowledge."),
    "comps": Entry("tutelage.evals.comps:COMPS", "Properties of concepts."),
    "entity-tracking": Entry("tutelage.evals.entity_tracking:EntityTracking", "States of boxes."),
    "wug": Entry("tutelage.evals.wug:Wug", "New words, against what people choose."),
    "surprisal": Entry("tutelage.evals.surprisal:Surprisal", "Surprisal of words in context."),
    "acquisition": Entry("tutelage.evals.ages:Ages", "When words are acquired, over a run."),
    "reading": Entry("tutelage.evals.reading:Reading", "Reading times of people."),
    "token-reward": Entry(
        "tutelage.evals.token_reward:TokenReward", "Rewards of tokens that a student reveals."
    ),
    "similarity": Entry("tutelage.evals.similarity:Similarity", "ROUGE and Self-BLEU of samples."),
}
