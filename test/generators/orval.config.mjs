export default {
  gateway: {
    input: process.env.CONTRACT,
    output: { target: 'generated/orval/api.ts', client: 'fetch', baseUrl: process.env.BASE_URL },
  },
};
