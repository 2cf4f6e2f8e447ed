"""Videos back to pictures. (imageio's own reader leaves pipes open, which is an error in tests.)"""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np


def decode(path: Path, width: int, height: int) -> tuple[np.ndarray, str]:
    """
    :return: pictures, (N, height, width, 3), and what the decoder says of the file
    """
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    result = subprocess.run(command, capture_output=True, check=True)
    return np.frombuffer(result.stdout, np.uint8).reshape(-1, height, width, 3), result.stderr.decode()
