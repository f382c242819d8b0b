fn main() -> anyhow::Result<()> {
    use exuvia::{corefile::*, cpython::*};
    let args: Vec<String> = std::env::args().collect();
    let inputs = Inputs::open(args[1].as_ref(), &SearchOptions::default())?;
    let mut runtime = Runtime::open(&inputs, None)?;
    for a in arenas(&runtime)?.0 { println!("{:x?}", a); }
    let census = exuvia::heap::census(&mut runtime)?;
    let ad = census.objects.addresses();
    for w in ad.windows(2) { if w[0] >= w[1] { println!("descent {:#x} {:#x}", w[0], w[1]); } }
    for a in &args[2..] {
        let a = u64::from_str_radix(a.trim_start_matches("0x"), 16)?;
        println!("{a:#x}: {:?} {:?}", census.objects.find(a), census.objects.at_or_before(a).map(|i| format!("{:#x}", census.objects.address(i))));
        let t = runtime.space.read_u64(a + 8)?;
        let Some(info) = runtime.types.of(t) else { continue };
        println!("{a:#x} {} {:?} in table {:?}", info.name, info.walk, census.objects.find(a));
        let mut r = References::new(&runtime);
        let e = r.visit(info, a, &mut |x| println!("   {:?} {:#x} {:?} {} -> {:?}", x.kind, x.target, x.slot, x.slot.label(&runtime), census.objects.find(x.target)));
        println!("  {e:?}");
    }
    Ok(())
}
