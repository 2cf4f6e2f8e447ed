#!/usr/bin/env bash
# Is a meta-training that was killed again and again (SIGKILL) the one that was left alone? Some three minutes; checkpoints every second.
#   benchmarks/kills.sh FOLDER      prints the kills, and whether weights and log are equal to the bit
set -euo pipefail
runs=${1:?folder for the runs}
skills=$(python -c 'from simpl_sb3 import PRETRAINED; print(PRETRAINED / "maze-fast" / "skills.safetensors")')
train() {
    OMP_NUM_THREADS=1 python -c '
import simpl_sb3.experiments.running as running
running.CHECKPOINT_SECONDS = 1.0
from simpl_sb3.experiments.cli import main
main()' meta-train --preset fast --skills "$skills" --output "$1" --seed 0 --train-tasks easy --n-envs 10 --total-timesteps 15000 \
        --gradient-steps 60 --net-arch 32 32 >> "$runs/log" 2>&1
}
mkdir -p "$runs"
train "$runs/once"
kills=0
until [ -f "$runs/killed/run.json" ]; do
    train "$runs/killed" &
    sleep $((6 + RANDOM % 7))
    if pkill -9 -f "output $runs/killed"; then kills=$((kills + 1)); fi
    wait $! || true
done
echo "killed $kills times"
python - "$runs" <<'P'
import csv
import sys

import torch as th

from simpl_sb3 import SkillPriorPEARL

once, killed = (SkillPriorPEARL.load(f"{sys.argv[1]}/{name}/model.zip", device="cpu") for name in ("once", "killed"))
weights = once.policy.state_dict(), killed.policy.state_dict()
logs = [list(csv.DictReader(open(f"{sys.argv[1]}/{name}/progress.csv"))) for name in ("once", "killed")]
clock = ("time/time_elapsed", "time/fps")
lines = [[{n: v for n, v in row.items() if v and n not in clock} for row in log] for log in logs]
print("weights equal:", all(th.equal(value, weights[1][name]) for name, value in weights[0].items()), "log equal:", lines[0] == lines[1])
P
