//! The Rust original as a contender of the benchmark; the exported functions are declared in `../native/contender.h`.
use micro_lora_original::micro_lora::{AdaptFeedback, EwcState, MicroLoRA, MicroLoraConfig, TargetModule};
use ndarray::{Array2, ArrayView2, ShapeBuilder};
use std::collections::HashMap;
use std::slice::from_raw_parts;
use std::time::Instant;

const MODULE: TargetModule = TargetModule::QProj;
const FORWARD: u32 = 0;
const REQUEST: u32 = 1;
const BATCH: u32 = 3;

/// `struct problem` of `contender.h`.
#[repr(C)]
pub struct Problem {
    operation: u32,
    rank: u32,
    inputs: u32,
    outputs: u32,
    rows: u32,
    adapters: u32,
    scaling: f32,
    rate: f32,
    lambda: f32,
    decay: f32,
    weights: *const f32,
    x: *const f32,
    gradient: *const f32,
    fisher: *const f32,
    anchor: *const f32,
    running: *const f32,
}

pub struct Contender {
    operation: u32,
    lora: MicroLoRA,
    ewc: HashMap<TargetModule, EwcState>,
    rate: f32,
    lambda: f32,
    x: Array2<f32>,
    gradients: [Vec<f32>; 2],
    y: Array2<f32>,
    step: usize,
}

impl Contender {
    fn iterate(&mut self) {
        let x = self.x.as_slice().expect("rows are contiguous");
        match self.operation {
            FORWARD => self.lora.forward_add(x, &MODULE, self.y.as_slice_mut().expect("rows are contiguous")),
            BATCH => self.y = self.lora.get_adapter(&MODULE).expect("has the module").read().forward_batch(&self.x),
            _ => {
                self.lora.forward_add(x, &MODULE, self.y.as_slice_mut().expect("rows are contiguous"));
                let gradient = self.gradients[self.step & 1].clone();
                self.step += 1;
                self.lora.adapt(x, AdaptFeedback::with_gradient(1.0, gradient).for_module(MODULE)).expect("adapts");
                self.lora.apply_updates_with_ewc(self.rate, &self.ewc, self.lambda);
            }
        }
    }
}

/// A [in, rank] and B [rank, out], as the original keeps them, of a block with A [rank, in].
unsafe fn factors(block: *const f32, p: &Problem) -> (Array2<f32>, Array2<f32>) {
    let (rank, inputs, outputs) = (p.rank as usize, p.inputs as usize, p.outputs as usize);
    let a = ArrayView2::from_shape_ptr((inputs, rank).f(), block).as_standard_layout().into_owned();
    let b = ArrayView2::from_shape_ptr((rank, outputs), block.add(rank * inputs)).to_owned();
    (a, b)
}

/// # Safety
/// The arrays of `problem` are as long as `contender.h` says.
#[no_mangle]
pub unsafe extern "C" fn contender_open(problem: *const Problem) -> *mut Contender {
    let p = &*problem;
    if ![FORWARD, REQUEST, BATCH].contains(&p.operation) {
        return std::ptr::null_mut();
    }
    let config = MicroLoraConfig {
        rank: p.rank as usize,
        alpha: p.scaling * p.rank as f32,
        in_features: p.inputs as usize,
        out_features: p.outputs as usize,
        target_modules: vec![MODULE],
        ..Default::default()
    };
    let lora = MicroLoRA::new(config);
    let (fisher_a, fisher_b) = factors(p.fisher, p);
    let (optimal_a, optimal_b) = factors(p.anchor, p);
    let adapter = lora.get_adapter(&MODULE).expect("has the module");
    {
        let mut adapter = adapter.write();
        (adapter.lora_a, adapter.lora_b) = factors(p.weights, p);
    }
    let gradient = from_raw_parts(p.gradient, p.outputs as usize).to_vec();
    let negative = gradient.iter().map(|g| -g).collect();
    let x = ArrayView2::from_shape_ptr((p.rows as usize, p.inputs as usize), p.x).to_owned();
    Box::into_raw(Box::new(Contender {
        operation: p.operation,
        lora,
        ewc: HashMap::from([(MODULE, EwcState { fisher_a, fisher_b, optimal_a, optimal_b })]),
        rate: p.rate,
        lambda: p.lambda,
        x,
        gradients: [gradient, negative],
        y: Array2::zeros((p.rows as usize, p.outputs as usize)),
        step: 0,
    }))
}

/// # Safety
/// `contender` comes from `contender_open` and is not closed.
#[no_mangle]
pub unsafe extern "C" fn contender_run(contender: *mut Contender, iterations: u32) -> f64 {
    let from = Instant::now();
    for _ in 0..iterations {
        std::hint::black_box(&mut *contender).iterate();
    }
    from.elapsed().as_nanos() as f64
}

/// # Safety
/// As `contender_run`; `y` and `weights` are as long as `contender.h` says.
#[no_mangle]
pub unsafe extern "C" fn contender_read(contender: *mut Contender, y: *mut f32, weights: *mut f32) {
    let contender = &*contender;
    for (i, value) in contender.y.iter().enumerate() {
        *y.add(i) = *value;
    }
    let adapter = contender.lora.get_adapter(&MODULE).expect("has the module");
    let adapter = adapter.read();
    for (i, value) in adapter.lora_a.t().iter().chain(adapter.lora_b.iter()).enumerate() {
        *weights.add(i) = *value;
    }
}

/// # Safety
/// `contender` comes from `contender_open` and is not used again.
#[no_mangle]
pub unsafe extern "C" fn contender_close(contender: *mut Contender) {
    drop(Box::from_raw(contender));
}
