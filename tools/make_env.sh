#!/usr/bin/env bash
# Makes a tested environment in $VENV. Does nothing when it already stands.
#
# $FAMILY chooses the OpenMMLab packages: onedl (the maintained forks, default) or openmmlab
# (upstream). Both install the same import names, so each has its own environment.
#
# mmcv has no wheel for every Python and torch, so its compiled ops are built here once (about ten
# minutes on two cores) and kept in $MMVIG_CACHE, keyed by mmcv, torch, Python and CUDA version.
set -euo pipefail
cd "$(dirname "$0")/.."

FAMILY=${FAMILY:-onedl}
case $FAMILY in
    onedl)
        TARGET=env VENV=${VENV:-.venv} CONSTRAINTS=constraints.txt MMCV=onedl-mmcv
        EXTRAS=onedl,onnx,openvino,huge,test ;;
    openmmlab)
        TARGET=env-openmmlab VENV=${VENV:-.venv-openmmlab}
        CONSTRAINTS=constraints-openmmlab.txt MMCV=mmcv
        EXTRAS=openmmlab,huge,test ;;  # the export needs a newer torch than these packages take
    *) echo "make_env: expected FAMILY onedl or openmmlab, got $FAMILY" >&2; exit 1 ;;
esac
CACHE=${MMVIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mmvig}
NEED_GIB=${MMVIG_NEED_GIB:-10}   # the CUDA build of torch with its libraries takes 7 GiB
LOG=''                            # set once $VENV exists; `die` must work before that

die() { printf '\nmake %s: %s\n' "$TARGET" "$*" >&2; exit 1; }

check_disk() {  # DIR
    local dir=$1
    while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done
    local free=$(( $(df --output=avail -k "$dir" | tail -n 1) / 1048576 ))
    [ "$free" -ge "$NEED_GIB" ] || die "$1 has $free GiB free, $NEED_GIB GiB are needed. Free some" \
        "space, or put the environment elsewhere: make $TARGET VENV=/path (cache: MMVIG_CACHE=/path)."
}

explain() {  # why the last pip call failed, from its log
    if grep -q 'No space left on device' "$LOG"; then
        die "the disk filled up. Free some space (about $NEED_GIB GiB are needed), or set VENV and" \
            "TMPDIR to a larger disk, then run the command again: it goes on where it stopped."
    fi
    if grep -qE 'Failed to establish a new connection|NameResolutionError|Max retries exceeded|ReadTimeout|ProxyError|Could not fetch URL|Connection refused' "$LOG"; then
        die "the package index could not be reached. Check the network and proxy settings" \
            "(HTTPS_PROXY), or name a mirror with PIP_INDEX_URL, then run the command again."
    fi
    if grep -qE 'No matching distribution found' "$LOG"; then
        die "the package index does not offer a pinned version (see above). Python" \
            "$("$VENV/bin/python" -V 2>&1 | cut -d' ' -f2) must be 3.10 to 3.12; a mirror (PIP_INDEX_URL) must be complete."
    fi
    die "pip failed; the whole log is in $LOG."
}

run_pip() {
    LOG=$VENV/pip.log
    printf '+ pip %s\n' "$*"
    "$VENV/bin/python" -m pip --disable-pip-version-check "$@" >"$LOG" 2>&1 \
        || { tail -n 15 "$LOG" >&2; explain; }
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.10 python3}; do
        command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' \
            2>/dev/null && { printf '%s' "$candidate"; return; }
    done
    die "expected Python 3.10 to 3.12 (tested: 3.11), found ${PYTHON:-none on PATH}. Install" \
        "python3.11 with its venv module, or name one: make $TARGET PYTHON=/path/to/python3.11."
}

build_mmcv() {  # prints the wheel's path
    local python=$VENV/bin/python version key wheels cuda=cpu compiler=${CXX:-c++}
    compiler=${compiler%% *}   # without its options
    version=$(sed -n "s/^$MMCV==//p" "$CONSTRAINTS")
    if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
        if command -v nvcc >/dev/null; then
            cuda=cu$("$python" -c 'import torch; print(torch.version.cuda)')
        else
            echo "make $TARGET: a GPU is here but nvcc is not: mmcv is built with its CPU ops only." \
                "For training on the GPU install the CUDA toolkit and run make $TARGET again." >&2
        fi
    fi
    key=$("$python" -c "import sys, torch; v = sys.version_info
print(f'mmcv$version-torch{torch.__version__}-py{v.major}.{v.minor}-$cuda')")
    wheels=$CACHE/$key
    if ! compgen -G "$wheels/*.whl" >/dev/null; then
        command -v $compiler >/dev/null || die "a C++ compiler is needed to build the mmcv ops," \
            "and $compiler was not found. Install one (Debian: apt-get install g++), or set CXX."
        check_disk "$CACHE"
        mkdir -p "$wheels"
        local part
        part=$(mktemp -d "$wheels/build.XXXXXX")
        echo "make $TARGET: building the mmcv ops ($key), about 10 minutes on two cores" >&2
        local force=0
        [ "$cuda" = cpu ] && local -x CUDA_VISIBLE_DEVICES='' || force=1
        MMCV_WITH_OPS=1 FORCE_CUDA=$force MAX_JOBS=${MAX_JOBS:-$(nproc)} \
            run_pip wheel --no-build-isolation --no-deps --no-binary "$MMCV" \
            -w "$part" "$MMCV==$version" >&2
        mv "$part"/*.whl "$wheels/"   # only a finished wheel ever gets its final place
        rmdir "$part"
    fi
    compgen -G "$wheels/*.whl" | head -n 1
}

stamp="$FAMILY $(cat "$CONSTRAINTS" setup.py "$0" | sha256sum | cut -d' ' -f1)"
found=$(cat "$VENV/.mmvig-env" 2>/dev/null) || true
if [ "$found" = "$stamp" ] && "$VENV/bin/python" -c '' 2>/dev/null; then
    exit 0
fi
case $found in
    "$FAMILY "*) ;;
    *' '*) die "$VENV holds the ${found% *} packages, which install the same import names. Choose" \
        "another place: make $TARGET VENV=/path." ;;
esac

python=$(find_python)
check_disk "$VENV"
[ -x "$VENV/bin/python" ] || "$python" -m venv "$VENV" \
    || die "$python -m venv failed. Debian ships it apart: apt-get install ${python##*/}-venv."
run_pip install -c "$CONSTRAINTS" pip setuptools wheel ninja psutil
run_pip install -c "$CONSTRAINTS" torch torchvision
wheel=$(build_mmcv)
run_pip install -c "$CONSTRAINTS" "$wheel"
run_pip install -c "$CONSTRAINTS" --no-build-isolation -e ".[$EXTRAS]"
"$VENV/bin/python" -c 'import mmcv.ops, mmdet.apis, mmseg.apis, mmpretrain.apis, mmvig.kernels' \
    || die "the packages are installed but do not import (see above). Remove $VENV and run again."
printf '%s\n' "$stamp" >"$VENV/.mmvig-env"
echo "make $TARGET: $VENV stands"
