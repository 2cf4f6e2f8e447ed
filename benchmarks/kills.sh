#!/usr/bin/env bash
# Is a stage that was killed again and again (SIGKILL) the one that was left alone? Checkpoints come every .2 seconds; each process is
# killed up to a second after its first one, so that many kills fall into the writing. Some three minutes and KILLS x 6 s per stage.
#   benchmarks/kills.sh FOLDER [KILLS] [STAGE ...]     5 kills of collect, extract, meta-train and adapt by default; and of
#   the stock methods, where they are named: sac-her and rl2 (meta-training), sac (adaptation)
# Prints of each stage how often it was killed, and whether what it wrote is equal to the bit; ends with 1 where it is not.
set -euo pipefail
runs=${1:?folder for the runs}
kills=${2:-5}
stages=("${@:3}")
[ ${#stages[@]} -gt 0 ] || stages=(collect extract meta-train adapt)
mkdir -p "$runs"
cd "$runs"
shipped=$(python -c 'from simpl_sb3 import PRETRAINED; print(PRETRAINED / "maze-fast")')

words_of() { # stage, "once" or "killed": the words of its command
    local small=(--encoder-hidden 16 --decoder-hidden 16 --prior-hidden 16 --batch-size 16)
    case $1 in
    collect) words=(collect --output "collect/$2" --trajectories 1500) ;;
    extract) words=(extract --output "extract/$2" --total-updates 30000 "${small[@]}") ;;
    meta-train) words=(meta-train --preset fast --skills "$shipped/skills.safetensors" --output "meta-train/$2" --train-tasks easy
        --n-envs 10 --total-timesteps 15000 --gradient-steps 60 --net-arch 32 32) ;;
    adapt) words=(adapt --from "$shipped/model.zip" --output "adapt/$2.csv" --n-episodes 30) ;;
    sac-her) words=(meta-train --method sac-her --skills "$shipped/skills.safetensors" --output "sac-her/$2" --train-tasks easy
        --n-envs 10 --total-timesteps 20000 --net-arch 32 32 --batch-size 32 --gradient-steps 4) ;;
    rl2) words=(meta-train --method rl2 --skills "$shipped/skills.safetensors" --output "rl2/$2" --train-tasks easy
        --n-envs 10 --total-timesteps 60000 --n-steps 20) ;;
    sac) words=(adapt --method sac --output "sac/$2.csv" --n-episodes 2 --net-arch 32 32 --batch-size 32) ;;
    esac
}

run() { # the command in this process, which a kill therefore reaches
    export OMP_NUM_THREADS=1 MINARI_DATASETS_PATH=$PWD/collect/once
    exec python -c '
import simpl_sb3.experiments.running as running
running.CHECKPOINT_SECONDS = 0.2
from simpl_sb3.experiments.cli import main
main()' "${words[@]}" >> log 2>&1
}

newest() { # of the checkpoints of a killed stage
    find "$1" \( -path '*killed*/state_*' -o -path '*killed*/checkpoint_*' -o -path '*/.simpl-unfinished-*/episodes_*' \) 2> /dev/null |
        sort | tail -n 1
}

killed() { # a stage, again and again; then to its end
    local done=0 code=137
    words_of "$1" killed
    while [ $done -lt "$kills" ] && [ $code -eq 137 ]; do
        before=$(newest "$1")
        (run) &
        pid=$!
        while [ "$(newest "$1")" = "$before" ] && [ -n "$(jobs -r)" ]; do sleep .05; done
        sleep ".$(printf %02d $((RANDOM % 100)))"
        kill -9 $pid 2> /dev/null || true
        code=0
        wait $pid || code=$?
        [ $code -ne 137 ] || done=$((done + 1))
    done 2> /dev/null
    [ $code -eq 0 ] || (run)
    echo -n "$1: killed $done times; "
}

for stage in "${stages[@]}"; do
    mkdir -p "$stage"
    if [ "$stage" = extract ] && [ ! -e collect/once/simpl ]; then (words_of collect once && run); fi
    [ -n "$(find "$stage" -path "*once*" -name '*[!g]' -type f | head -n 1)" ] || (words_of "$stage" once && run)
    killed "$stage"
    python - "$stage" << 'P'
import csv
import json
import sys
from pathlib import Path

import numpy as np
import torch as th

from simpl_sb3 import SkillModel, SkillPriorPEARL
from simpl_sb3.algorithms.stock import GoalSAC, TrialPPO, read_stock

folder = Path(sys.argv[1])
CLOCK = ("time/time_elapsed", "time/fps", "time/iterations", "wall_time_s", "written_at", "command", "revision", "seal")


def log(path):
    return [{n: v for n, v in row.items() if v and n not in CLOCK} for row in csv.DictReader(open(path))]


def content(name):
    if folder.name == "collect":
        return (folder / name / "simpl" / "maze-planner-v0" / "data" / "main_data.hdf5").read_bytes()
    if folder.name in ("adapt", "sac"):
        with np.load(folder / f"{name}.npz") as traces:
            paths = {key: traces[key].tolist() for key in traces.files}
        told = {key: value for key, value in json.loads((folder / f"{name}.json").read_text()).items() if key not in CLOCK}
        return (folder / f"{name}.csv").read_bytes(), paths, told
    if folder.name in ("sac-her", "rl2"):
        kind = {"sac-her": GoalSAC, "rl2": TrialPPO}[folder.name]
        tensors = read_stock(folder / name / "model.zip", kind).tensors
        return {key: value.numpy().tobytes() for key, value in tensors.items()}, log(folder / name / "progress.csv")
    model = SkillModel.load(folder / name / "skills.safetensors") if folder.name == "extract" else None
    network = model or SkillPriorPEARL.load(folder / name / "model.zip", device="cpu").policy
    return {key: value.numpy().tobytes() for key, value in network.state_dict().items()}, log(folder / name / "progress.csv")


equal = content("once") == content("killed")
print("equal to the bit" if equal else "NOT EQUAL")
sys.exit(not equal)
P
done
