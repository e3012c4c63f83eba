#!/usr/bin/env bash
# Runs every conformance suite below NNRT_DATA with the nnrt given, on both devices, against the committed
# expected-failure lists: an unexpected failure, or an unexpected pass, fails the run.
set -euo pipefail
nnrt=${1:?usage: run.sh path/to/nnrt}
data=${NNRT_DATA:-../shared}
fail=0
for device in cpu ref; do
  for suite in onnx-backend onnx-light models keras-golden/inference keras-golden/training keras-golden/applications hdf5-golden; do
    [ "$device" = ref ] && case $suite in keras-golden/applications|onnx-light) continue ;; esac # hours in naive loops
    echo "-- $suite on $device"
    "$nnrt" conformance "$data/$suite" --device "$device" || fail=1
  done
done
exit $fail
