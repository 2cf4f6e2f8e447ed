"""``python -m simpl_sb3.zoo train --algo spirl --env SimplMazeSkills-v0``"""

import sys

from simpl_sb3.errors import SimplError
from simpl_sb3.zoo.command import run

try:
    run(sys.argv[1:])
except SimplError as error:
    sys.exit(f"simpl_sb3.zoo: {error}")
