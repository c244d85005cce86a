"""What the tests of stores share: reading a whole store, and forging one."""

import hashlib
import json
from pathlib import Path

from hypothesis import HealthCheck, settings

from gazegan.data.store import open_store

MODEST = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def read_all(path):
    store = open_store(path)
    return store.read(range(len(store)))


def reseal(store, **changes):
    """Rewrite the manifest with a valid seal, as a forger would."""
    path = store.path / "manifest.json"
    values = {**json.loads(path.read_text()), **changes, "sha256": ""}
    bare = json.dumps(values, sort_keys=True, indent=1)
    values["sha256"] = hashlib.sha256(bare.encode()).hexdigest()
    path.write_text(json.dumps(values, sort_keys=True, indent=1) + "\n")


def forge_shard(store, data):
    """Replace the first shard by `data`, with matching name and hashes."""
    sha = hashlib.sha256(data).hexdigest()
    shards = [shard.model_dump() for shard in store.manifest.shards]
    shards[0] |= {"file": f"shard-00000-{sha[:16]}.safetensors", "sha256": sha}
    (store.path / shards[0]["file"]).write_bytes(data)
    reseal(store, shards=shards)
