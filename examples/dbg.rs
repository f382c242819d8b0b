fn main() -> anyhow::Result<()> {
    use exuvia::{corefile::*, cpython::*};
    let args: Vec<String> = std::env::args().collect();
    let inputs = Inputs::open(args[1].as_ref(), &SearchOptions::default())?;
    let mut runtime = Runtime::open(&inputs, None)?;
    let census = exuvia::heap::census(&mut runtime)?;
    for a in &args[2..] {
        let a = u64::from_str_radix(a.trim_start_matches("0x"), 16)?;
        let t = runtime.space.read_u64(a + 8)?;
        let info = runtime.types.of(t).unwrap();
        println!("{a:#x} {} {:?} in table {:?}", info.name, info.walk, census.objects.find(a));
        let mut r = References::new(&runtime);
        let e = r.visit(info, a, &mut |x| println!("   {:?} {:#x} {:?} {} -> {:?}", x.kind, x.target, x.slot, x.slot.label(&runtime), census.objects.find(x.target)));
        println!("  {e:?}");
    }
    Ok(())
}
