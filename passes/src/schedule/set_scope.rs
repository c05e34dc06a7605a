//! `set_scope(T, register)`: a buffer that the kernel allocates lives elsewhere.

use super::nest::allocated_named;
use super::{Names, Refusal};
use tcc_ir::kernel::{Kernel, Scope};

pub(super) fn set_scope(k: &mut Kernel, buffer: &str, scope: Scope) -> Result<(), Refusal> {
    let t = allocated_named(k, buffer)?;
    let shape = k.buffers.get(t).map_or(vec![], |b| b.shape.clone());
    let symbolic = shape.iter().find(|n| n.as_constant().is_none());
    if let Some(extent) = symbolic.filter(|_| scope == Scope::Register) {
        let extent = Names(k).show(extent).to_string();
        return Err(Refusal::SymbolicBuffer { buffer: buffer.to_owned(), extent });
    }
    if let Some(b) = k.buffers.get_mut(t) {
        b.scope = scope;
    }
    Ok(())
}
