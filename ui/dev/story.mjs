// What is said in the made-up storefront: Nordhaus, an outdoor shop. Each conversation is a list of turns; a turn names what the
// assistant looked up to answer it.

const found = (...names) => JSON.stringify(names.map((name, i) => ({ name, score: Number((0.91 - i * 0.07).toFixed(2)) })))

export const system = 'You are the assistant of Nordhaus, an outdoor shop. Be brief, be kind, and never promise what is not in stock.'
export const sorry = 'I am sorry, I cannot look that up right now. Please write to help@nordhaus.example, a person answers within an hour.'

export const conversations = [
  { weight: 5, turns: [
    { ask: 'Which jacket is good for steady rain? I cycle to work every day.', search: found('Fjord Shell', 'Harbour Rain Jacket', 'Ridge Parka'),
      answer: 'For cycling in steady rain I would take the **Fjord Shell**:\n\n- 20,000 mm water column, taped seams\n- long back, so that it covers you on the bike\n- 410 g, packs into its own pocket\n\nIt is 219 €. Which size do you wear?' },
    { ask: 'Size M, do you have it in green?', tool: ['stock_level', '{"sku":"FJ-SHELL","size":"M","colour":"moss"}', '{"sku":"FJ-SHELL","size":"M","colour":"moss","in_stock":3,"warehouse":"Bremen"}'],
      answer: 'Yes: the Fjord Shell in *moss green*, size M, **3 left**. It ships today if you order before 15:00.' },
    { ask: 'And trousers that go with it?', search: found('Fjord Overtrousers', 'Commuter Rain Leggings'),
      answer: 'The **Fjord Overtrousers** (119 €) have the same fabric and zips down to the knee, so they go on over shoes. Reflective at the ankle, too.' },
    { ask: 'Great, put both in my cart', tool: ['add_to_cart', '{"items":["FJ-SHELL-M-MOSS","FJ-OVER-M"]}', '{"cart":"c-7712","items":2,"total":338}'],
      answer: 'Done: both are in your cart, **338 €** together, shipping is free.' },
  ] },
  { weight: 4, turns: [
    { ask: 'My order 48213 has not arrived yet', tool: ['order_status', '{"order":"48213"}', '{"order":"48213","state":"in transit","carrier":"DHL","left":"Monday","expected":"tomorrow"}'], service: 'orders',
      answer: 'Order **48213** left us on Monday and is with the carrier. It should reach you **tomorrow**.' },
    { ask: 'Can I still change the address?', answer: 'Not with us any more, since it is on its way. With the tracking number in your mail, the carrier lets you choose a pick-up point.' },
  ] },
  { weight: 3, turns: [
    { ask: 'Compare the Fjord Shell and the Ridge Parka for me', search: found('Fjord Shell', 'Ridge Parka'),
      answer: '| | Fjord Shell | Ridge Parka |\n|---|---|---|\n| Weight | 410 g | 980 g |\n| Warm to | 5 °C | −15 °C |\n| Water column | 20,000 mm | 10,000 mm |\n| Price | 219 € | 349 € |\n\nTake the parka for standing about in winter, the shell for everything that moves.' },
    { ask: 'I will be ice fishing in Finland', answer: 'Then it is the **Ridge Parka**, with the Ridge Mittens. At −20 °C wear a fleece below it: it is cut wide enough.' },
    { ask: 'Is the down from a decent source?', search: found('Materials: down', 'Ridge Parka'), answer: 'Yes. All our down is certified (RDS) and traced to the farm; the certificate number is on the inner label.' },
  ] },
  { weight: 3, turns: [
    { ask: 'How do I send something back?', search: found('Returns', 'Refunds'), answer: 'You have **30 days**:\n\n1. Print the label from your order page\n2. Drop the parcel at any post office\n\nThe refund comes within five days after it arrived.' },
    { ask: 'I have thrown away the box. Is that a problem?', answer: 'Not at all, any box will do.' },
  ] },
  { weight: 2, turns: [
    { ask: 'Something warm for my dad, he hikes a lot. Up to 150 €', search: found('Ridge Fleece', 'Merino Base 250', 'Trail Beanie'),
      answer: 'Three things that hikers keep for years:\n\n- **Ridge Fleece**, 129 €: the one he will wear most\n- **Merino Base 250**, 89 €: warm even when damp\n- **Trail Beanie** and gloves, 65 € as a set' },
    { ask: 'The fleece! He is rather tall, 1.96 m', tool: ['stock_level', '{"sku":"RI-FLEECE","size":"XL-TALL"}', '{"sku":"RI-FLEECE","size":"XL-TALL","in_stock":11}'],
      answer: 'There is a *tall* cut for that: **XL Tall** is made for 1.90 to 2.02 m, and we have it in navy and charcoal.' },
    { ask: 'Navy, as a gift please', answer: 'Wrapped as a gift, without a price on the slip. It arrives on Thursday.' },
  ] },
  { weight: 2, turns: [
    { ask: 'Hat diese Jacke eine abnehmbare Kapuze?', search: found('Ridge Parka', 'Fjord Shell'), answer: 'Ja: beim **Ridge Parka** ist die Kapuze mit Druckknöpfen abnehmbar, beim Fjord Shell ist sie fest.' },
    { ask: 'Und kann ich sie in der Maschine waschen?', answer: 'Ja, bei 30 °C im Schonwaschgang, ohne Weichspüler. Danach zehn Minuten lau in den Trockner, das frischt die Imprägnierung auf.' },
  ] },
  { weight: 2, plan: true, turns: [
    { ask: 'Plan a packing list: four days of hut-to-hut hiking in the Dolomites, end of September', search: found('Hut trekking guide', 'Fjord Shell', 'Merino Base 150', 'Trail Pack 32'),
      tool: ['weather', '{"place":"Cortina d\'Ampezzo","month":9}', '{"low":4,"high":16,"rain_days":9}'],
      answer: '### Four days, hut to hut\n\nNights near 4 °C, days to 16 °C, rain on one day in three.\n\n| What | How many | From us |\n|---|---|---|\n| Shell | 1 | Fjord Shell |\n| Warm layer | 1 | Ridge Fleece |\n| Base layer | 2 | Merino Base 150 |\n| Socks | 3 | Trail Sock |\n| Pack, 32 l | 1 | Trail Pack 32 |\n\nLeave a second pair of trousers at home; take a *hut sleeping bag*, most huts ask for one.' },
    { ask: 'What does it all weigh?', answer: 'About **4.1 kg** without water and food.' },
  ] },
]

export const errors = {
  openai: ['429 Too Many Requests: rate limit reached for gpt-4o on tokens per minute', '500 The server had an error while processing your request'],
  anthropic: ['529 overloaded_error: Overloaded'],
  google: ['503 UNAVAILABLE: The model is overloaded. Please try again later.'],
}
