//! Runs a program with the interpreter of the loop-nest level.

use super::expansion::Expansions;
use super::{Domain, Machine, Stop, Tensor, Tensors, run_kernel};
use crate::TensorId;
use crate::graph::Role;
use crate::int::{IntExpr, Symbol};
use crate::kernel::Kernel;
use crate::program::Program;
use cranelift_entity::{EntityRef, SecondaryMap};
use indexmap::IndexMap;
use tcc_abi::{DType, Scalar};

/// Runs a program on inputs by name, at the given value of each size in order. Temporaries start
/// with a value that no correct kernel lets through: NaN, or the least integer.
pub fn run_program(
    program: &Program,
    kernels: &IndexMap<String, Kernel>,
    inputs: &Tensors<f64>,
    sizes: &[i64],
    expansions: &mut Expansions,
) -> Result<Tensors<f64>, Stop> {
    check_guards(program, sizes)?;
    let mut memory: SecondaryMap<TensorId, Option<Tensor<f64>>> = SecondaryMap::new();
    for (id, b) in program.buffers.iter() {
        let shape =
            b.shape.iter().map(|e| extent(e, sizes)).collect::<Result<Vec<usize>, Stop>>()?;
        let given = if program.params.contains(&id) { inputs.get(&b.name) } else { None };
        memory[id] = Some(match given {
            Some(t) if t.shape == shape => t.clone(),
            Some(t) => {
                return Err(Stop::Shape(format!(
                    "`{}` has shape {:?}, expected {shape:?}",
                    b.name, t.shape
                )));
            }
            None => Tensor::filled(b.dtype, &shape, Machine.value(poison(b.dtype))),
        });
    }
    for call in &program.calls {
        let Some(kernel) = kernels.get(&call.kernel) else { continue };
        let ids: Vec<TensorId> = call.arguments.iter().chain(&call.results).copied().collect();
        let mut arguments: Vec<Tensor<f64>> =
            ids.iter().filter_map(|t| memory[*t].clone()).collect();
        run_kernel(kernel, sizes, &mut arguments, expansions)?;
        for (t, after) in ids.iter().zip(arguments) {
            memory[*t] = Some(after);
        }
    }
    let inouts = program
        .params
        .iter()
        .filter(|t| program.buffers.get(**t).is_some_and(|b| b.role == Role::Inout));
    let mut results = Tensors::new();
    for t in program.results.iter().chain(inouts) {
        if let (Some(b), Some(value)) = (program.buffers.get(*t), memory[*t].take()) {
            results.insert(b.name.clone(), value);
        }
    }
    Ok(results)
}

/// The conditions that the call must meet.
fn check_guards(program: &Program, sizes: &[i64]) -> Result<(), Stop> {
    for g in &program.guards {
        let (lhs, rhs) = (size(&g.fact.lhs, sizes)?, size(&g.fact.rhs, sizes)?);
        let empty = g.unless_empty.iter().any(|e| size(e, sizes).is_ok_and(|n| n <= 0));
        if !empty && !g.fact.comparison.holds(lhs.cmp(&rhs)) {
            let text = g.text(program);
            return Err(Stop::Fact(format!("the fact {text} does not hold")));
        }
    }
    Ok(())
}

fn size(e: &IntExpr, sizes: &[i64]) -> Result<i64, Stop> {
    let value = |s: Symbol| match s {
        Symbol::Size(s) => sizes.get(s.index()).copied().unwrap_or(0),
        Symbol::Var(_) => 0,
    };
    e.eval(&value).map_err(|e| Stop::Limit(e.to_string()))
}

fn extent(e: &IntExpr, sizes: &[i64]) -> Result<usize, Stop> {
    Ok(size(e, sizes)?.max(0) as usize)
}

fn poison(dtype: DType) -> Scalar {
    match dtype {
        DType::Bool => Scalar::from_bool(true),
        d if d.is_int() => Scalar::from_i128(d, 0x5A5A_5A5A_5A5A_5A5A),
        d if d.is_complex() => Scalar::from_parts(d, f64::NAN, f64::NAN),
        d => Scalar::from_f64(d, f64::NAN),
    }
}
