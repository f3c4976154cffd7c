"""Pictures beside the unrolled graph: how far every loss is felt, and how much of the past is used, as sheets."""
