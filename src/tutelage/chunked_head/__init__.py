"""The chunked head: scores of tokens without the full logits (positions × vocabulary).

From the hidden states before a language model's output head, logits are computed a block of
positions at a time, and again in the backward pass unless they are few. Blocks are large, for the
sake of matrix products; what follows goes through them in strips that a CPU's caches hold.
"""
