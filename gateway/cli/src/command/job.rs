//! `datamesh job`.

use anyhow::Result;
use gateway_admin::wire;

use super::print;
use crate::{
    args::job::{JobArgs, JobVerb},
    client::{Client, segment},
};

pub(crate) fn run(args: JobArgs) -> Result<()> {
    let client = Client::connect(&args.client)?;
    let json = args.client.json;
    match args.verb {
        JobVerb::List => {
            let list: wire::JobList = client.get("/jobs")?;
            match json {
                true => print::json(&list),
                false => table(&list),
            }
        }
        JobVerb::Pause { job } => change(&client, &job, "pause", json),
        JobVerb::Resume { job } => change(&client, &job, "resume", json),
    }
}

fn change(client: &Client, id: &str, verb: &str, json: bool) -> Result<()> {
    let job: wire::Job = client.post_empty(&format!("/jobs/{}/{verb}", segment(id)?))?;
    match json {
        true => print::json(&job),
        false => print::line(&format!("{} is {}", job.id, job.state)),
    }
}

fn table(list: &wire::JobList) -> Result<()> {
    let rows: Vec<_> = list.jobs.iter().map(row).collect();
    let titles = ["JOB", "WHAT IT DOES", "STATE", "DONE", "MOVED", "LEFT", "RATE", "TIME LEFT"];
    print::table(titles, &rows)
}

fn row(job: &wire::Job) -> [String; 8] {
    let state = match (&job.reason, &job.ended) {
        (Some(reason), _) => format!("{}: {reason}", job.state),
        (None, Some(ended)) => format!("{} {ended}", job.state),
        (None, None) => job.state.clone(),
    };
    let rate = match job.bytes_per_second {
        0 => "-".to_owned(),
        rate => format!("{}/s", print::size(rate)),
    };
    [
        job.id.clone(),
        job.what.clone(),
        state,
        percent(job.moved_bytes, job.remaining_bytes),
        print::size(job.moved_bytes),
        print::size(job.remaining_bytes),
        rate,
        print::or_dash(job.eta_seconds.map(print::duration)),
    ]
}

/// The share that is done; what is left may have changed since the job began.
fn percent(done: u64, left: u64) -> String {
    match u128::from(done) + u128::from(left) {
        0 => "-".to_owned(),
        total => {
            let tenths = u128::from(done) * 1000 / total;
            format!("{}.{} %", tenths / 10, tenths % 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down_to_tenths() {
        assert_eq!(percent(0, 0), "-");
        assert_eq!(percent(999, 1), "99.9 %");
        assert_eq!(percent(u64::MAX, u64::MAX), "50.0 %");
        assert_eq!(percent(1, 0), "100.0 %");
    }
}
