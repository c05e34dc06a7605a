//! Kernels, programs and schedules.

use super::ModuleCx;
use crate::text::ast;

pub(super) fn lower_kernel(_cx: &mut ModuleCx, _k: &ast::Kernel) {}
pub(super) fn lower_program(_cx: &mut ModuleCx, _p: &ast::Program) {}
pub(super) fn lower_schedule(_cx: &mut ModuleCx, _s: &ast::Schedule) {}
