// NRQL's grammar as New Relic documents it, strict: an unknown clause, function, unit or number of arguments is an error with its column.
const FUNCTIONS = { // least and most arguments
  count: [0, 1], sum: [1, 1], average: [1, 1], min: [1, 1], max: [1, 1], latest: [1, 1], earliest: [1, 1], uniqueCount: [1, 8], uniques: [1, 2], median: [1, 1], stddev: [1, 1],
  percentile: [2, 11], percentage: [2, 2], filter: [2, 2], rate: [2, 2], histogram: [1, 4], apdex: [1, 2], derivative: [1, 2], funnel: [2, 10],
};
const SCALARS = {
  numeric: [1, 1], string: [1, 2], boolean: [1, 1], capture: [2, 2], concat: [1, 20], lower: [1, 1], upper: [1, 1], length: [1, 1], substring: [2, 3], position: [2, 3], abs: [1, 1], ceil: [1, 1], floor: [1, 1],
  round: [1, 2], clamp_max: [2, 2], clamp_min: [2, 2], aparse: [2, 2], if: [2, 3], dateOf: [1, 1], hourOf: [1, 1], buckets: [2, 3], cases: [1, 20],
};
const UNITS = /^(second|minute|hour|day|week|month|quarter|year)s?$/i;
const EVENTS = ['Span', 'Log', 'Metric', 'Transaction', 'TransactionError'];
const CLAUSES = ['FROM', 'WHERE', 'FACET', 'TIMESERIES', 'SINCE', 'UNTIL', 'LIMIT', 'ORDER', 'COMPARE', 'WITH', 'AS', 'EXTRAPOLATE'];
const OPERATORS = ['=', '!=', '<', '<=', '>', '>=', 'LIKE', 'RLIKE'];

function tokens(text) {
  const found = [], pattern = /\s*(?:(r?'(?:[^'\\]|\\.)*')|(`[^`]+`)|(\d+(?:\.\d+)?)|([A-Za-z_][\w.:]*)|(!=|<=|>=|[-+*\/=<>(),]))/y;
  while (pattern.lastIndex < text.trimEnd().length) {
    const at = pattern.lastIndex, m = pattern.exec(text);
    if (!m) throw new SyntaxError(`column ${at + 1}: nothing of NRQL begins with ${JSON.stringify(text.slice(at, at + 10))}: ${text}`);
    const [, string, quoted, number, word, sign] = m;
    found.push({ kind: string ? 'string' : quoted || word ? 'word' : number ? 'number' : 'sign', text: quoted ? quoted.slice(1, -1) : m[0].trim(), quoted: !!quoted, at: pattern.lastIndex });
  }
  return found;
}

/** {events, attributes, aggregates} of a query; throws a SyntaxError where it is none. */
export function parseNrql(text) {
  const list = tokens(text), attributes = new Set(), aggregates = new Set();
  let next = 0;
  const fail = (wanted) => {
    throw new SyntaxError(`column ${list[next]?.at ?? text.length}: expected ${wanted}, found ${list[next]?.text ?? 'the end'}: ${text}`);
  };
  const isWord = (...words) => list[next]?.kind === 'word' && !list[next].quoted && words.includes(list[next].text.toUpperCase());
  const take = (...words) => isWord(...words) && list[next++].text.toUpperCase();
  const need = (...words) => take(...words) || fail(words.join(' or '));
  const sign = (...signs) => list[next]?.kind === 'sign' && signs.includes(list[next].text) && list[next++].text;
  const needSign = (wanted) => sign(wanted) || fail(wanted);
  const kind = (wanted) => (list[next]?.kind === wanted ? list[next++] : fail(`a ${wanted}`));
  const several = (one) => { do one(); while (sign(',')); };
  const duration = () => { kind('number'); if (!UNITS.test(kind('word').text)) (next--, fail('a unit of time')); };

  function call(name, deep) {
    const [least, most] = FUNCTIONS[name] ?? SCALARS[name];
    if (FUNCTIONS[name]) {
      if (deep.includes('aggregate') && !['rate', 'percentage', 'filter'].includes(deep.at(-1))) fail('no aggregate within another');
      aggregates.add(name);
    }
    let count = 0;
    const inside = [...deep, FUNCTIONS[name] ? (['rate', 'percentage', 'filter'].includes(name) ? name : 'aggregate') : 'scalar'];
    if (!sign(')')) {
      do {
        count++;
        if (name === 'rate' && count === 2) duration();
        else if (take('WHERE')) (['filter', 'percentage', 'funnel', 'if', 'cases'].includes(name) || fail('no WHERE here'), condition());
        else if (name === 'count' && sign('*')) continue;
        else expression(inside);
      } while (sign(','));
      needSign(')');
    }
    if (count < least || count > most) fail(`${least} to ${most} arguments of ${name}`);
  }
  function primary(deep) {
    if (sign('(')) return expression(deep), needSign(')');
    if (sign('-')) return primary(deep);
    const token = list[next] ?? fail('a value');
    if (token.kind === 'string' || token.kind === 'number') return next++;
    if (token.kind !== 'word' || (!token.quoted && CLAUSES.includes(token.text.toUpperCase()))) fail('an attribute or a function');
    next++;
    if (!token.quoted && sign('(')) return FUNCTIONS[token.text] || SCALARS[token.text] ? call(token.text, deep) : (next--, fail('a function that NRQL has'));
    attributes.add(token.text);
  }
  function expression(deep) {
    primary(deep);
    while (sign('+', '-', '*', '/')) primary(deep);
  }
  function comparison() {
    if (take('NOT')) return comparison();
    if (sign('(')) return condition(), needSign(')');
    expression(['where']);
    if (take('IS')) return take('NOT'), need('NULL', 'TRUE', 'FALSE');
    const not = take('NOT');
    if (take('IN')) return needSign('('), several(() => expression(['where'])), needSign(')');
    if (take('LIKE', 'RLIKE')) return kind('string');
    if (not) fail('IN or LIKE');
    sign(...OPERATORS) || fail('a comparison');
    expression(['where']);
  }
  function condition() {
    do comparison(); while (take('AND', 'OR'));
  }
  const moment = () => (isWord('NOW', 'TODAY', 'YESTERDAY') || list[next]?.kind === 'string' ? next++ : (duration(), need('AGO')));

  need('SELECT');
  several(() => {
    if (!sign('*')) expression([]);
    if (take('AS')) list[next]?.kind === 'string' ? next++ : kind('word');
  });
  need('FROM');
  const events = [];
  several(() => { const { text: name } = kind('word'); EVENTS.includes(name) || fail('a type of event'); events.push(name); });
  const seen = new Set();
  while (next < list.length) {
    const clause = need('WHERE', 'FACET', 'TIMESERIES', 'SINCE', 'UNTIL', 'LIMIT', 'COMPARE', 'ORDER');
    if (seen.has(clause)) fail(`${clause} once`);
    seen.add(clause);
    ({
      WHERE: condition, FACET: () => several(() => { expression(['facet']); if (take('AS')) kind('string'); }), SINCE: moment, UNTIL: moment,
      TIMESERIES: () => { if (!take('AUTO', 'MAX') && list[next]?.kind === 'number') duration(); },
      LIMIT: () => take('MAX') || kind('number'), COMPARE: () => (need('WITH'), moment()), ORDER: () => (need('BY'), expression([]), take('ASC', 'DESC')),
    })[clause]();
  }
  if (!aggregates.size && seen.has('FACET')) fail('an aggregate with FACET');
  return { events, attributes: [...attributes], aggregates: [...aggregates] };
}
