"""What was shown: demonstrations as windows of H env steps, and Minari's files. numpy and Gymnasium's spaces only."""

from simpl_sb3.demonstrations.windows import DemonstrationDataset, Episode, WindowBatch

__all__ = ["DemonstrationDataset", "Episode", "WindowBatch"]
