#!/usr/bin/env bash
# The numbers of the README for SimplKitchen-v0, preset kitchen-fast, from nothing. Some four hours on two cores, one after the other.
#   benchmarks/kitchen.sh FOLDER      runs and result rows go to FOLDER; the committed rows are in benchmarks/results/kitchen
# (of SPiRL they hold seed 0 with --set n_episodes=105 only).
set -euo pipefail
runs=${1:?folder for the runs}
results=$runs/results
export MINARI_DATASETS_PATH=$runs/minari

simpl-sb3 collect --preset kitchen-fast --seed 0
simpl-sb3 extract --preset kitchen-fast --output "$runs/skills" --seed 0
skills=$runs/skills/skills.safetensors

python benchmarks/kitchen_prior.py "$skills" --n 128
python benchmarks/kitchen_prior.py "$skills" --n 128 --physics fast
for seed in 0 1 2; do
    simpl-sb3 meta-train --preset kitchen-fast --skills "$skills" --output "$runs/meta-$seed" --seed "$seed"
    simpl-sb3 adapt --preset kitchen-fast --from "$runs/meta-$seed/model.zip" --output "$results/kitchen/kitchen-fast-simpl-$seed.csv" \
        --seed "$seed"
done
for seed in 0 1 2; do
    simpl-sb3 adapt --preset kitchen-fast --method spirl --from "$skills" --output "$results/kitchen/kitchen-fast-spirl-$seed.csv" \
        --seed "$seed"
done
python benchmarks/kitchen_policy.py "$runs/meta-0/model.zip"
python benchmarks/kitchen_policy.py "$runs/meta-0/model.zip" --physics fast
simpl-sb3 report "$results/kitchen" --output "$runs/report" --progress "$runs"/meta-*/progress.csv
