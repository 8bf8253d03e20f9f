"""What the surface of two answers gives away."""

from __future__ import annotations

from scratchgpt.datasets.surface import best_presence, feature_accuracy, surface_features


def test_a_feature_that_tells_is_found_and_a_tie_counts_half() -> None:
    telling = [{"chosen": "好！", "rejected": "很好。"}, {"chosen": "对！", "rejected": "对吗。"}]
    assert feature_accuracy(telling, len) == 1.0
    assert best_presence(telling, set)[1] == 1.0
    assert feature_accuracy(telling, lambda text: 0.0) == 0.5
    assert surface_features(telling)["exclamation"] == 1.0
