#!/usr/bin/env bash
# The numbers of the README for SimplMaze-v0, preset maze-fast, from nothing. About 75 minutes on two cores, run one after the other.
#   benchmarks/maze.sh FOLDER      runs and result rows go to FOLDER; the committed rows are in benchmarks/results
set -euo pipefail
runs=${1:?folder for the runs}
results=$runs/results
export MINARI_DATASETS_PATH=$runs/minari

simpl-sb3 collect --seed 0
simpl-sb3 extract --output "$runs/skills" --seed 0
skills=$runs/skills/skills.safetensors

# the skill prior alone: SPiRL that never updates
simpl-sb3 adapt --method spirl --from "$skills" --output "$results/prior/maze-fast-prior.csv" --agents-per-task 20 \
    --set n_episodes=5 --set gradient_steps=0 --variant "skill prior alone"
for seed in 0 1 2; do
    simpl-sb3 meta-train --skills "$skills" --output "$runs/meta-$seed" --seed "$seed"
    simpl-sb3 adapt --from "$runs/meta-$seed/model.zip" --output "$results/main/maze-fast-simpl-$seed.csv" --seed $((10 * seed)) \
        --agents-per-task 3 --n-episodes 105
done
for seed in 0 1 2; do
    simpl-sb3 adapt --method spirl --from "$skills" --output "$results/main/maze-fast-spirl-$seed.csv" --seed "$seed"
done
# SPiRL with the published learner (1-step returns, learning rate 3e-4, one update per skill), on the same skills and networks
simpl-sb3 adapt --method spirl --from "$skills" --output "$results/spirl-published/maze-fast-spirl-published-0.csv" --seed 0 \
    --variant "published learner" --set n_episodes=65 --set n_steps=1 --set learning_rate=3e-4 --set tau=0.005 --set batch_size=256 \
    --set train_freq=1 --set multiplier_learning_rate=3e-4 --set multipliers_only_grow=true --set kl_clip=10.0
# 30 random goals outside the published lists, at least 5 cells away
simpl-sb3 adapt --from "$runs/meta-0/model.zip" --output "$results/random-goals/maze-fast-simpl-random-0.csv" --tasks random:30:0 \
    --set n_episodes=65
simpl-sb3 report "$results/main" --output "$runs/report" --progress "$runs"/meta-*/progress.csv
