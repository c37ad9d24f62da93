// What every client sends to the demonstration, and what it reports of the answers.
export const baseUrl = process.env.BASE_URL!;

export const echoRequest = {
  pacs_ip: '127.0.0.1',
  pacs_port: Number(process.env.PACS_PORT),
  pacs_ae_title: 'ORTHANCA',
  c_find_ae_title: 'GATEWAY',
};
export const queryRequest = { ...echoRequest, patient_id: '1112223333', modalities: ['CT'], max_results: 1 };
export const retrieveRequest = { ...queryRequest, c_move_ae_title: 'ORTHANCB' };
export const search = { PatientID: '1112223333', ModalitiesInStudy: 'CT', includefield: ['StudyDescription'], limit: 1 };

export function report(
  echo: { steps: { step: string; status: string }[] },
  query: { study_details: { StudyDescription: string }[] },
  retrieve: { message: string; retrievals: { completed: number | null }[] },
  found: Record<string, { Value?: unknown[] }>[],
) {
  console.log(JSON.stringify({
    steps: echo.steps.map(({ step, status }) => `${step} ${status}`),
    studies: query.study_details.map(({ StudyDescription }) => StudyDescription),
    message: retrieve.message,
    completed: retrieve.retrievals.map(({ completed }) => completed),
    found: found.map((study) => study['00081030']?.Value),
  }));
}

// run ends the process with the error's status if main fails. Some clients throw the response.
export function run(main: () => Promise<void>) {
  main().catch(async (error: unknown) => {
    console.error(error instanceof Response ? `${error.status}: ${error.url}` : error);
    process.exitCode = 1;
  });
}
