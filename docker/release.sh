#!/bin/sh
# Builds what people install: `make release` calls it with the folder of Python's programs and the folder to write to.
set -eu
bin=$1
out=$2
version=$("$bin/python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')

if [ -n "$(git status --porcelain --untracked-files=no)" ]; then
  echo "release: files differ from the last commit; commit or restore them first" >&2
  exit 1
fi
rm -rf "$out"
mkdir -p "$out"
"$bin/python" -m build --outdir "$out" .
"$bin/cyclonedx-py" requirements --pyproject pyproject.toml --output-reproducible \
  --output-file "$out/edgetune-$version.cdx.json" constraints.txt
if docker info >/dev/null 2>&1; then
  if [ "$(uname -m)" = x86_64 ] && [ -z "${TORCH_INDEX:-}" ] && [ -z "$(find docker -path '*wheelhouse/torch-*')" ]; then
    echo "release: the image would hold 5 GB of CUDA; put torch's CPU wheel into docker/wheelhouse, or name an index in TORCH_INDEX" >&2
    exit 1
  fi
  for target in node node-slim; do
    docker build --quiet --file docker/Dockerfile --target "$target" --tag "edgetune:$target-$version" \
      --build-arg "TORCH_INDEX=${TORCH_INDEX:-}" \
      --build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD)" .
    docker save "edgetune:$target-$version" | gzip >"$out/edgetune-$target-$version.tar.gz"
  done
else
  echo "release: no container engine answers; images are left out" >&2
fi
cd "$out"
sha256sum -- edgetune* >SHA256SUMS
cat SHA256SUMS
