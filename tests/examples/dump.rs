use tcc_passes::pipeline::{self, Pipeline};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let (m, _) = tcc_ir::text::read_module(&mut Default::default(), &path, &text).unwrap();
    let c = tcc_ir::graph::check(&m).unwrap();
    let p = Pipeline::of(tcc_tests::programs::DEFAULT).unwrap();
    let t = "x86_64-v3".parse().unwrap();
    let out = pipeline::run(&c, &p, &t, true, &mut |_| {}).unwrap();
    print!("{}", tcc_ir::text::print_module(&out));
}
