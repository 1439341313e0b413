"""The landmark heatmap of the paper, as operations that every converter has."""

import torch
from torch import Tensor, nn

from training.network.config import HEATMAP_SIZE


class LandmarkHeatmap(nn.Module):
    """H(x, y) = 1 / sqrt(1 + min_i ||(x, y) - (x_i, y_i)||), not below 0.5 (arXiv 2103.07615).

    Distances are in cells. The formula reaches its floor at distance 3, so each difference may be
    clamped to +-3 first: the same values, and no large squares for float16 and int8.
    """

    grid_x: Tensor
    grid_y: Tensor

    def __init__(self, size: int = HEATMAP_SIZE) -> None:
        super().__init__()
        self.size = size
        cells = torch.arange(size, dtype=torch.float32)
        # A row and a column, so that differences and squares are taken of 28 cells and not of 784.
        self.register_buffer("grid_x", cells.reshape(1, 1, 1, size), persistent=False)
        self.register_buffer("grid_y", cells.reshape(1, 1, size, 1).clone(), persistent=False)

    def forward(self, landmarks: Tensor) -> Tensor:
        """Draw the heatmap.

        Args:
            landmarks: (B, N, 2), crop units 0..1.

        Returns:
            (B, 1, size, size), 0.5..1.
        """
        cells = landmarks * self.size - 0.5  # cell centres at integers
        x, y = cells[:, :, 0:1].unsqueeze(3), cells[:, :, 1:2].unsqueeze(3)  # (B, N, 1, 1)
        dx = torch.clamp(self.grid_x - x, -3.0, 3.0)  # (B, N, 1, size)
        dy = torch.clamp(self.grid_y - y, -3.0, 3.0)  # (B, N, size, 1)
        nearest = torch.amin(dx * dx + dy * dy, dim=1, keepdim=True)
        return torch.clamp(torch.rsqrt(1.0 + torch.sqrt(nearest)), min=0.5)
