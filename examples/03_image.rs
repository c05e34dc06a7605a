//! Compiling in one program, running in another that links only the runtime:
//! `cargo run -p tcc-examples --bin image`.

use tcc::{Compiler, Image, TensorView};

fn main() -> Result<(), tcc::Error> {
    let compiled = Compiler::host().lower(
        "fn softmax_rows(X: f32[B,N]) -> (Y: f32[B,N]) {
             Y = softmax(X)
         }",
    )?;
    let bytes = compiled.image()?.to_bytes();
    println!("an image of {} bytes", bytes.len());

    // From here on nothing needs the compiler.
    let image = Image::from_bytes(&bytes).map_err(tcc::LoadError::from)?;
    let executable = tcc_runtime::Executable::load(image)?;
    let x = [0.0f32, 0.0, 1.0, 1.0];
    let y = executable.run(&[TensorView::from_slice(&x, &[2, 2])?])?;
    assert_eq!(y[0].as_slice::<f32>()?, [0.5; 4]);
    Ok(())
}

#[test]
fn runs() -> Result<(), tcc::Error> {
    main()
}
