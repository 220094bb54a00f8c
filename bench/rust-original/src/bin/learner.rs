//! One learner of the original, driven by JSON, one command and one answer a line.
use micro_lora_original::micro_lora::{AdaptFeedback, EwcState, MicroLoRA, MicroLoraConfig, TargetModule};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{stdin, BufRead};
use std::time::Instant;

const MODULE: TargetModule = TargetModule::QProj;
/// Every click is as good as feedback can be.
const QUALITY: f32 = 1.0;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "op")]
enum Command {
    Create { dimensions: usize, learning_rate: f32, lambda: f32 },
    /// The deltas of some inputs.
    Forward { inputs: Vec<Vec<f32>> },
    /// One request: without a gradient, the original takes one of its own.
    Adapt { input: Vec<f32>, gradient: Option<Vec<f32>> },
    /// Anchors at the weights of now; the Fisher information stays what the original makes of it.
    Consolidate,
    Bytes,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Done,
    Outputs(Vec<Vec<f32>>),
    Microseconds(f64),
    Bytes(usize),
}

struct Learner {
    lora: MicroLoRA,
    ewc: HashMap<TargetModule, EwcState>,
    learning_rate: f32,
    lambda: f32,
}

impl Learner {
    fn create(dimensions: usize, learning_rate: f32, lambda: f32) -> Self {
        let config = MicroLoraConfig { target_modules: vec![MODULE], ..MicroLoraConfig::for_hidden_dim(dimensions) };
        Learner { lora: MicroLoRA::new(config), ewc: HashMap::new(), learning_rate, lambda }
    }

    fn adapt(&mut self, input: &[f32], gradient: Option<Vec<f32>>) -> f64 {
        let from = Instant::now();
        let feedback = match gradient {
            Some(gradient) => AdaptFeedback::with_gradient(QUALITY, gradient),
            None => AdaptFeedback::from_quality(QUALITY),
        };
        self.lora.adapt(input, feedback).expect("adapts");
        self.lora.apply_updates_with_ewc(self.learning_rate, &self.ewc, self.lambda);
        from.elapsed().as_nanos() as f64 / 1e3
    }

    fn consolidate(&mut self) {
        let adapter = self.lora.get_adapter(&MODULE).expect("has the module");
        let adapter = adapter.read();
        self.ewc.entry(MODULE).or_insert_with(|| EwcState::from_adapter(&adapter)).update_optimal(&adapter);
    }
}

fn main() {
    let mut learner = Learner::create(1, 0.0, 0.0);
    for line in stdin().lock().lines() {
        let answer = match serde_json::from_str(&line.expect("stdin is text")).expect("a line is a command") {
            Command::Create { dimensions, learning_rate, lambda } => {
                learner = Learner::create(dimensions, learning_rate, lambda);
                Answer::Done
            }
            Command::Forward { inputs } => {
                Answer::Outputs(inputs.iter().map(|input| learner.lora.forward(input, &MODULE)).collect())
            }
            Command::Adapt { input, gradient } => Answer::Microseconds(learner.adapt(&input, gradient)),
            Command::Consolidate => {
                learner.consolidate();
                Answer::Done
            }
            Command::Bytes => Answer::Bytes(learner.lora.memory_bytes()),
        };
        println!("{}", serde_json::to_string(&answer).expect("numbers are finite"));
    }
}
