"""Tiny models with random weights, and adapters trained on them by PEFT for a few steps."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

VOCABULARY = 40
INPUT_IDS = torch.tensor([[3, 14, 15, 9, 2, 6], [5, 35, 8, 9, 7, 9]])


def llama(tied=False):
    config = LlamaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=VOCABULARY, max_position_embeddings=32, tie_word_embeddings=tied,
    )  # fmt: skip
    return LlamaForCausalLM(config)


def bert():
    config = BertConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, vocab_size=VOCABULARY,
        max_position_embeddings=32, num_labels=3,
    )  # fmt: skip
    return BertForSequenceClassification(config)


def gpt2():
    config = GPT2Config(n_embd=16, n_inner=24, n_layer=1, n_head=4, vocab_size=VOCABULARY, n_positions=32)
    return GPT2LMHeadModel(config)


def make(architecture, dtype=torch.float32, **options):
    """The same random weights each time."""
    torch.manual_seed(7)
    model = architecture(**options)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
    return model.to(dtype).eval()


def trained(base, steps=6, seed=1, **config):
    """A PEFT model after a few steps of AdamW."""
    torch.manual_seed(seed)
    dtype = next(base.parameters()).dtype
    model = get_peft_model(base, LoraConfig(**config), autocast_adapter_dtype=False)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    smallest = 1e-8 if dtype == torch.float32 else 1e-4  # what the type can hold beside its numbers
    optimizer = torch.optim.AdamW(parameters, lr=0.05, eps=smallest)
    for _ in range(steps):
        target = torch.randn(model(input_ids=INPUT_IDS).logits.shape).to(dtype)
        loss = ((model(input_ids=INPUT_IDS).logits - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=INPUT_IDS).logits
