//! Which machine the figures are from, as the kernel tells.

use std::fs;

/// Features of a processor that the stages make use of.
const FEATURES: [&str; 6] = ["avx2", "avx512f", "gfni", "vaes", "vpclmulqdq", "sha_ni"];

/// One line about the machine.
pub(crate) fn describe() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    render(&read("/proc/cpuinfo"), &read("/proc/meminfo"), cores)
}

/// Today, as the system's clock says.
pub(crate) fn today() -> String {
    time::OffsetDateTime::from(crate::clock::now()).date().to_string()
}

fn render(cpuinfo: &str, meminfo: &str, cores: usize) -> String {
    let field = |text: &str, name: &str| -> Option<String> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let model = field(cpuinfo, "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let flags = field(cpuinfo, "flags").unwrap_or_default();
    let has = |name: &&str| flags.split_whitespace().any(|flag| flag == *name);
    let features: Vec<&str> = FEATURES.into_iter().filter(has).collect();
    let kibibytes = field(meminfo, "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    let memory = kibibytes.map(|kib| format!(", {} GiB of memory", (kib + (1 << 19)) >> 20));
    format!("{cores} cores of {model} ({}){}", features.join(", "), memory.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_features_and_memory_are_named() {
        let cpuinfo = "processor: 0\nmodel name\t: Some CPU\nflags\t\t: fpu gfni avx2 avx\n";
        let text = render(cpuinfo, "MemTotal:   25000000 kB\n", 2);
        assert_eq!(text, "2 cores of Some CPU (avx2, gfni), 24 GiB of memory");
        assert_eq!(render("", "", 1), "1 cores of unknown processor ()");
    }

    #[test]
    fn today_is_a_date() {
        let today = today();
        assert_eq!((today.len(), today.matches('-').count()), (10, 2), "{today}");
    }
}
