// The list of jobs, and one job in detail. All components share one connection.

import type { IrisflowClient } from '@irisflow/client';
import { useJob, useJobs } from '@irisflow/client/react';

export function Jobs({ client }: { client: IrisflowClient }) {
  const { value: jobs, connection, error } = useJobs(client);
  if (error) return <p role="alert">{error.message}</p>;
  return (
    <>
      {connection?.reason && <p role="status">{connection.reason}</p>}
      <ul>
        {jobs?.map(({ job_id, status, progress }) => (
          <li key={job_id}>
            {status} {progress} %
          </li>
        ))}
      </ul>
    </>
  );
}

export function Job({ client, id }: { client: IrisflowClient; id: string }) {
  const { value: job, error } = useJob(client, id);
  if (error) return <p role="alert">{error.message}</p>;
  if (!job) return <p>Loading...</p>;
  if (job.status === 'completed') return <img src={job.result_url ?? ''} alt="The iris" />;
  return <progress max={100} value={job.progress} aria-label={job.step} />;
}
