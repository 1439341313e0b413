"""ASMNet: landmarks and head pose from features of many depths.

Fard, Abdollahi and Mahoor, "ASMNet: a Lightweight Deep Neural Network for Face Alignment and Pose
Estimation", CVPRW 2021. The trunk is MobileNetV2 up to its block 15; the global averages of blocks
1, 3, 6, 10, 13 and 15 side by side feed one linear layer for the landmarks and one for the pose.
Its blocks are counted as Keras counts them: the stem has no number, and the first block, the one
without expansion, is block 0. This reading alone hits the published counts (1.43 M parameters;
0.51 GFLOPs, which are 2 x MACs). The dropout of its authors' program is left out: it would make a
resumed run differ from one that was never stopped.
"""

from typing import Final

from torch import Tensor, nn

from training.network.mobilenetv2 import (
    BLOCKS,
    MOBILENET_INPUT_SIZE,
    AlignmentOutput,
    Heads,
    Trunk,
)

# sizes:      56 28 14 14  7   7
POOLED: Final = (1, 3, 6, 10, 13, 15)  # blocks whose output is averaged; the last ends the trunk


class AsmNet(nn.Module):
    """The whole network."""

    input_size: Final = MOBILENET_INPUT_SIZE

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(BLOCKS[: POOLED[-1] + 1], kept=POOLED)
        self.heads = Heads(sum(BLOCKS[index].out for index in POOLED))

    def forward(self, image: Tensor) -> AlignmentOutput:
        """(B, 3, 224, 224) RGB, 0..255 -> landmarks, pose."""
        output: AlignmentOutput = self.heads(self.trunk(image))
        return output
