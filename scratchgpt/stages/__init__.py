"""The five training stages, one file each, in the order they run: pretrain, sft, reward_model, rlhf, rlvf."""
