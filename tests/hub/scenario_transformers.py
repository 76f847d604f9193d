"""A tiny model goes up and comes down again, through the libraries that people use."""

import tempfile
from typing import Any

import torch
from huggingface_hub import HfApi
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM


def round_trip(facts: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2
    )
    model = LlamaForCausalLM(config)
    api = HfApi()
    api.create_repo("demo/tiny-llama")
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, max_shard_size="10kB")
        api.upload_folder(repo_id="demo/tiny-llama", folder_path=folder)
    loaded = AutoModelForCausalLM.from_pretrained("demo/tiny-llama")
    same = all(torch.equal(one, loaded.state_dict()[name]) for name, one in model.state_dict().items())
    shards = [one for one in api.list_repo_files("demo/tiny-llama") if one.endswith(".safetensors")]
    parsed = api.get_safetensors_metadata("demo/tiny-llama")
    return {
        "same": same,
        "type": AutoConfig.from_pretrained("demo/tiny-llama").model_type,
        "shards": len(shards),
        "sharded": parsed.sharded,
        "parameters": sum(parsed.parameter_count.values()) == sum(one.numel() for one in model.parameters()),
        "counted": api.model_info("demo/tiny-llama").safetensors.total == model.num_parameters(),
    }


STEPS = {"round_trip": round_trip}
