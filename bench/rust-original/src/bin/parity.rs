//! Reads cases as JSON, one a line, and prints what the original computes for each, one a line.
//! Matrices are flat and row-major: A [in, rank], B [rank, out], as the original keeps them.
use micro_lora_original::micro_lora::{EwcState, LoraAdapter};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};
use std::io::{stdin, BufRead};

#[derive(Deserialize, Serialize)]
struct Factors {
    a: Vec<f32>,
    b: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Example {
    x: Vec<f32>,
    gradient: Vec<f32>,
    reward: f32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    rank: usize,
    in_features: usize,
    out_features: usize,
    alpha: f32,
    weights: Factors,
    rows: Vec<f32>,
    onto: Vec<f32>,
    examples: Vec<Example>,
    learning_rate: f32,
    lambda: f32,
    decay: f32,
    fisher: Factors,
    anchor: Factors,
    gradient: Factors,
    base: Vec<f32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    scaling: f32,
    initial_a: Vec<f32>,
    forward: Vec<f32>,
    forward_add: Vec<f32>,
    forward_simd: Vec<f32>,
    forward_batch: Vec<f32>,
    applied: Factors,
    applied_with_ewc: Factors,
    fisher: Factors,
    merged: Vec<f32>,
}

fn matrix(rows: usize, values: &[f32]) -> Array2<f32> {
    Array2::from_shape_vec((rows, values.len() / rows), values.to_vec()).expect("the case's shapes agree")
}

fn vector(values: &[f32]) -> Array1<f32> {
    Array1::from_vec(values.to_vec())
}

fn flat(a: &Array2<f32>, b: &Array2<f32>) -> Factors {
    Factors { a: a.iter().copied().collect(), b: b.iter().copied().collect() }
}

fn run(case: &Case) -> Outcome {
    let new = || LoraAdapter::new(case.in_features, case.out_features, case.rank, case.alpha);
    let pair = |f: &Factors| (matrix(case.in_features, &f.a), matrix(case.rank, &f.b));
    let mut adapter = new();
    (adapter.lora_a, adapter.lora_b) = pair(&case.weights);
    let first = &case.rows[..case.in_features];

    let mut forward_add = vector(&case.onto);
    adapter.forward_add(&vector(first), &mut forward_add);
    let mut forward_simd = case.onto.clone();
    adapter.forward_simd(first, &mut forward_simd);
    let batch = adapter.forward_batch(&matrix(case.rows.len() / case.in_features, &case.rows));
    let mut merged = matrix(case.in_features, &case.base);
    adapter.merge_into(&mut merged);

    let mut trained = adapter.clone();
    for example in &case.examples {
        trained.accumulate_gradient(&vector(&example.x), &vector(&example.gradient), example.reward);
    }
    let mut penalised = trained.clone();
    trained.apply_gradients(case.learning_rate);
    let (fisher_a, fisher_b) = pair(&case.fisher);
    let (optimal_a, optimal_b) = pair(&case.anchor);
    penalised.apply_gradients_with_ewc(case.learning_rate, &fisher_a, &fisher_b, &optimal_a, &optimal_b, case.lambda);
    let mut ewc = EwcState { fisher_a, fisher_b, optimal_a, optimal_b };
    let (gradient_a, gradient_b) = pair(&case.gradient);
    ewc.update_fisher(&gradient_a, &gradient_b, case.decay);

    Outcome {
        scaling: adapter.scaling,
        initial_a: new().lora_a.iter().copied().collect(),
        forward: adapter.forward(&vector(first)).to_vec(),
        forward_add: forward_add.to_vec(),
        forward_simd,
        forward_batch: batch.iter().copied().collect(),
        applied: flat(&trained.lora_a, &trained.lora_b),
        applied_with_ewc: flat(&penalised.lora_a, &penalised.lora_b),
        fisher: flat(&ewc.fisher_a, &ewc.fisher_b),
        merged: merged.iter().copied().collect(),
    }
}

fn main() {
    for line in stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line.expect("stdin is text")).expect("a line is a case");
        println!("{}", serde_json::to_string(&run(&case)).expect("numbers are finite"));
    }
}
