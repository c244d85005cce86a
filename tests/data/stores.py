"""What the tests of stores share: reading a whole store, and forging one."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch
from hypothesis import HealthCheck, settings

from gazegan.data.store import open_store
from gazegan.schema import MASKS

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


def with_four_masks(store):
    """Rewrite a store of one shard as of schema 3, which knew the first four masks alone."""
    (shard,) = store.manifest.shards
    fields = safetensors.torch.load_file(store.path / shard.file)
    masks = fields["masks"]
    masks[:, 0] += masks[:, 4:].sum(1, dtype=torch.uint8)
    data = safetensors.torch.save({**fields, "masks": masks[:, :4].contiguous()})
    sha = hashlib.sha256(data).hexdigest()
    forged = {"file": f"shard-00000-{sha[:16]}.safetensors", "count": len(store), "sha256": sha}
    (store.path / forged["file"]).write_bytes(data)
    reseal(store, schema_version=3, masks=MASKS[:4], shards=[forged])
    return open_store(store.path)


def forge_shard(store, data):
    """Replace the first shard by `data`, with matching name and hashes."""
    sha = hashlib.sha256(data).hexdigest()
    shards = [shard.model_dump() for shard in store.manifest.shards]
    shards[0] |= {"file": f"shard-00000-{sha[:16]}.safetensors", "sha256": sha}
    (store.path / shards[0]["file"]).write_bytes(data)
    reseal(store, shards=shards)
