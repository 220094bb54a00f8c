//! `witness write CASE FILE`: a state that the Rust original trained and saved with its own `save`.
//! `witness read FILE`: what the original's own `load` makes of a file, one fact a line, and the forward pass of each
//! module on x[i] = sin(i).
use micro_lora_original::micro_lora::*;
use std::collections::HashMap;

fn wave(n: usize, scale: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32).sin() * scale).collect()
}

fn train(lora: &MicroLoRA, rounds: usize, widths: &[(TargetModule, usize, usize)]) {
    for _ in 0..rounds {
        for &(module, input, output) in widths {
            let feedback = AdaptFeedback::with_gradient(0.75, wave(output, 0.1)).for_module(module);
            lora.adapt(&wave(input, 1.0), feedback).unwrap();
        }
        lora.apply_updates(0.5);
    }
}

fn case(name: &str) -> (MicroLoraConfig, Vec<(TargetModule, usize, usize)>, usize) {
    use TargetModule::*;
    match name {
        "attention" => {
            let widths = vec![(QProj, 24, 24), (KProj, 24, 8), (VProj, 24, 8), (OProj, 24, 24)];
            (MicroLoraConfig::for_hidden_dim(24).with_targets(TargetModule::attention()), widths, 1)
        }
        "every-module" => {
            let modules = [QProj, KProj, VProj, OProj, GateProj, UpProj, DownProj, Embed, LmHead];
            let widths = modules.iter().enumerate().map(|(i, &module)| (module, 3 + i, 12 - i)).collect();
            let config = MicroLoraConfig {
                dropout: 0.25,
                use_bias: true,
                standard_init: false,
                gradient_checkpointing: true,
                ..MicroLoraConfig::for_hidden_dim(5).with_rank(1).with_alpha(3.5).with_targets(modules.to_vec())
            };
            (config, widths, 40)
        }
        "wide" => (MicroLoraConfig::for_hidden_dim(300), vec![(QProj, 300, 300), (VProj, 300, 300)], 1),
        "untrained" => (MicroLoraConfig::for_hidden_dim(7), vec![], 0),
        "huge" => (
            MicroLoraConfig::for_hidden_dim(16).with_rank(1).with_targets(vec![LmHead]),
            vec![(LmHead, 16, 70_000)],
            1,
        ),
        _ => panic!("no case {name}"),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["write", name, file] => {
            let (config, widths, rounds) = case(name);
            let dimensions: HashMap<_, _> = widths.iter().map(|&(module, i, o)| (module, (i, o))).collect();
            let lora = MicroLoRA::with_dimensions(config, dimensions);
            train(&lora, rounds, &widths);
            lora.save(file).unwrap();
        }
        ["read", file] => {
            let lora = MicroLoRA::load(file).unwrap();
            let state = lora.export_state();
            println!("adaptations {} dropout {}", state.adaptations, state.config.dropout);
            let mut modules: Vec<_> = state.adapters.keys().copied().collect();
            modules.sort_by_key(|module| module.as_str());
            for module in modules {
                let adapter = &state.adapters[&module];
                println!(
                    "{} {} {} {} {}",
                    module, adapter.in_features, adapter.out_features, adapter.rank, adapter.scaling
                );
                let y = lora.forward(&wave(adapter.in_features, 1.0), &module);
                println!("{}", y.iter().map(|value| format!("{value:e}")).collect::<Vec<_>>().join(" "));
            }
        }
        _ => eprintln!("usage: witness write CASE FILE | read FILE"),
    }
}
