"""Lists the crates of a program in CycloneDX 1.5.

By `cargo tree`, which resolves for one package with its features and target. The usual tools ask `cargo metadata`, which resolves for
the workspace as a whole: of the relay, they list a quarter more crates than it has.
"""
import re
import subprocess
import tomllib

MEDIA_TYPE = "application/vnd.cyclonedx+json"


def bill(root, package, triple, created):
    """The bill of the program that `cargo build PACKAGE… --target TRIPLE` makes in `root`: a value for JSON.

    Crates that only build scripts use are not in the program, and not in its bill.
    """
    checksums = locked(root)
    tree = subprocess.run(
        ["cargo", "tree", "--locked", "--quiet", *package, "--target", triple, "--edges", "normal", "--no-dedupe",
         "--prefix", "depth", "--format", "\t{p}\t{l}"],
        cwd=root, check=True, text=True, stdout=subprocess.PIPE).stdout
    crates, edges, path = {}, {}, []
    for line in tree.splitlines():
        depth, crate, licence = line.split("\t")
        name, version = re.match(r"(\S+) v(\S+)", crate).groups()
        reference = purl(name, version)
        del path[int(depth):]
        if path:
            edges[path[-1]].add(reference)
        path.append(reference)
        edges.setdefault(reference, set())
        crates[reference] = component(reference, name, version, licence, checksums.get((name, version)))
    program = crates.pop(next(iter(crates)))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": created,
            "component": {**program, "type": "application"},
            "properties": [{"name": "cdx:rustc:sbom:target:triple", "value": triple}],
        },
        "components": [crates[reference] for reference in sorted(crates)],
        "dependencies": [{"ref": reference, "dependsOn": sorted(edges[reference])} for reference in sorted(edges)],
    }


def locked(root):
    """The SHA-256 of each crate in Cargo.lock; the workspace's own have none."""
    packages = tomllib.loads((root / "Cargo.lock").read_text())["package"]
    return {(package["name"], package["version"]): package.get("checksum") for package in packages}


def purl(name, version):
    return f"pkg:cargo/{name}@{version.replace('+', '%2B')}"


def component(reference, name, version, licence, checksum):
    entry = {
        "type": "library",
        "bom-ref": reference,
        "purl": reference,
        "name": name,
        "version": version,
        # Some old manifests write a slash, which is not SPDX.
        "licenses": [{"expression": re.sub(r" ?/ ?", " OR ", licence)}],
    }
    if checksum:
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return entry
