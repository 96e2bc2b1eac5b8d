//! `datamesh layout preview`.

use anyhow::{Result, bail};
use gateway_admin::wire;

use super::print;
use crate::client::Client;

pub(super) fn run(client: &Client, json: bool) -> Result<()> {
    let preview: wire::Preview = client.get("/layout/preview")?;
    match json {
        true => print::json(&preview)?,
        false => show(&preview)?,
    }
    match preview.refusal {
        Some(why) => bail!("layout apply would refuse this: {why}"),
        None => Ok(()),
    }
}

fn show(preview: &wire::Preview) -> Result<()> {
    if preview.changes.is_empty() {
        print::line(&format!("Nothing is staged on epoch {}.", preview.epoch))?;
    } else {
        print::line(&format!("Staged on epoch {}:", preview.epoch))?;
        for change in &preview.changes {
            print::line(&format!("  {change}"))?;
        }
    }
    print::line("")?;
    let rows: Vec<_> = preview.devices.iter().map(row).collect();
    let titles = ["DEVICE", "NODE", "FAILS WITH", "CAPACITY", "HOLDS NOW", "THEN", "UP"];
    print::table(titles, &rows)?;
    print::line("")?;
    let odds = |odds: &wire::Odds| {
        let code = odds.code.as_deref().unwrap_or("nothing can be stored");
        let (worst, average) = (share(odds.worst), share(odds.average));
        format!("{worst} at worst, {average} on average ({code}, {} domains)", odds.domains)
    };
    print::fields(&[
        ("Moves", moves(preview)),
        ("Takes", print::duration(preview.duration_seconds)),
        ("Unreadable now", odds(&preview.now)),
        ("Unreadable then", odds(&preview.after)),
        ("Floor", format!("readable with a probability of {}", preview.availability_floor)),
        ("Verdict", verdict(preview)),
    ])?;
    list("Note", &preview.warnings)?;
    list("These figures assume", &preview.assumptions)?;
    if !preview.refused && !preview.changes.is_empty() {
        print::hint(&format!("next: datamesh layout apply --epoch {}", preview.epoch));
    }
    Ok(())
}

fn row(device: &wire::DeviceForecast) -> [String; 7] {
    let up = format!("{:.2} %", device.availability * 100.0);
    [
        device.device.to_string(),
        device.node.clone(),
        device.failure_domain.clone(),
        print::size(device.capacity_bytes),
        print::size(device.used_bytes),
        print::size(device.target_bytes),
        if device.up { up } else { format!("{up}, away now") },
    ]
}

fn moves(preview: &wire::Preview) -> String {
    let (moved, optimum) = (preview.moved_bytes, preview.optimum_bytes);
    format!("{}; the least possible is {}", print::size(moved), print::size(optimum))
}

fn verdict(preview: &wire::Preview) -> String {
    match &preview.refusal {
        Some(why) => format!("{}: {why}", preview.verdict),
        None => preview.verdict.clone(),
    }
}

/// A probability for people.
fn share(probability: f64) -> String {
    match probability {
        none if none <= 0.0 => "0".to_owned(),
        p if p < 0.001 => format!("{p:.1e}"),
        p => format!("{p:.3}"),
    }
}

fn list(title: &str, lines: &[String]) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    print::line("")?;
    print::line(&format!("{title}:"))?;
    lines.iter().try_for_each(|line| print::line(&format!("  - {line}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_their_size() {
        assert_eq!(share(0.0), "0");
        assert_eq!(share(1.96e-5), "2.0e-5");
        assert_eq!(share(0.25), "0.250");
        assert_eq!(share(1.0), "1.000");
    }
}
