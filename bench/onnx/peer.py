"""The peer of run.mjs: a BERT of MiniLM's size with PEFT's LoRA on query and value, timed as asked on standard input."""
import json, resource, sys, time
import torch
from peft import LoraConfig, get_peft_model
from transformers import BertConfig, BertModel

config = json.load(open(sys.argv[1]))
torch.set_num_threads(int(sys.argv[2]))
base = BertModel(BertConfig(**config), add_pooling_layer=False).eval()
model = get_peft_model(base, LoraConfig(r=2, lora_alpha=4, target_modules=["query", "value"]))
print(json.dumps({"torch": torch.__version__}), flush=True)
for line in sys.stdin:
    rows, tokens = json.loads(line)
    ids = torch.arange(rows * tokens).reshape(rows, tokens) % 500 + 1000
    mask = torch.ones_like(ids)
    gradient = torch.ones(rows, tokens, config["hidden_size"])
    model.zero_grad()
    start = time.perf_counter()
    loss = (model(input_ids=ids, attention_mask=mask).last_hidden_state * gradient).sum()
    loss.backward()
    took = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"ms": took * 1000, "rss": memory}), flush=True)
